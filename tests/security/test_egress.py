"""Our HTTP calls reach public addresses and what the operator opened, however the address is written or found."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import trustme

from habeas.core.errors import BadInput
from habeas.core.settings import load_settings
from habeas.egress.client import AnswerRefused, open_client
from habeas.egress.policy import EgressPolicy, EgressRefused, resolve_by_system

LOOPBACK = ("127.0.0.0/8", "::1/128")
SECRET = "marker-of-a-secret"

INNER = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "127.0.0.1": "loopback",
    "127.9.9.9": "loopback",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "169.254.169.254": "link-local",
    "100.64.0.1": "carrier",
    "100.127.255.255": "carrier",
    "192.0.0.8": "private|reserved",
    "192.88.99.1": "reserved",
    "3fff::1": "reserved",
    "192.0.2.1": "private",
    "198.18.0.1": "private",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "private|reserved",
    "255.255.255.255": "private|reserved",
    "168.63.129.16": "cloud",
    "::": "unspecified",
    "::1": "loopback",
    "fe80::1": "link-local",
    "fec0::1": "private",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "ff02::1": "multicast",
    "100::1": "private",
    "2001:db8::1": "private",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:a9fe:a9fe": "link-local",
    "::127.0.0.1": "loopback",
    "::10.0.0.1": "private",
    "2002:7f00:1::": "loopback",
    "2002:a9fe:a9fe::1": "link-local",
    "2001:0:4136:e378:8000:63bf:80ff:fffe": "loopback",  # Teredo, whose client is 127.0.0.1
    "64:ff9b::127.0.0.1": "loopback",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b:1::1": "private|reserved",
}
OUTER = ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::8.8.8.8"]
ODD = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.0x1",
    "127.0.0.1.",
    "1.2.3",
]


def answering(*answers: str | OSError) -> Callable[[str, int], Sequence[str]]:
    """A resolver that gives one answer after the other, the last for ever."""
    left = list(answers)

    def resolve(host: str, port: int) -> Sequence[str]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, OSError):
            raise answer
        return answer.split()

    return resolve


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize(("address", "kind"), INNER.items())
def test_an_address_inside_is_refused_written_or_resolved(address: str, kind: str) -> None:
    rule = "address that is.*(" + kind + ")"
    with pytest.raises(EgressRefused, match=rule):
        EgressPolicy().check_url(f"https://{bracketed(address)}/x?token={SECRET}", where="url")
    policy = EgressPolicy(resolve=answering(f"8.8.8.8 {address}"))  # one is enough
    with pytest.raises(EgressRefused, match=rule) as caught:
        policy.check_url(f"https://rebound.example.com/{SECRET}?token={SECRET}", where="url")
    assert "rebound.example.com" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("address", OUTER)
def test_an_address_outside_passes(address: str) -> None:
    assert EgressPolicy().check_url(f"http://{bracketed(address)}:8443/x")
    assert EgressPolicy(resolve=answering(address)).check_url("https://hooks.example.com/x")


@pytest.mark.parametrize("host", ODD)
def test_a_number_that_can_be_read_in_several_ways_is_refused(host: str) -> None:
    with pytest.raises(BadInput):
        EgressPolicy(resolve=answering("8.8.8.8")).check_url(f"http://{host}/")
    refused = pytest.raises((BadInput, httpx2.InvalidURL))
    with open_client(EgressPolicy(resolve=answering("8.8.8.8"))) as client, refused:
        client.get(f"http://{host}:9/")


@pytest.mark.parametrize(
    "text",
    [
        "ftp://hooks.example.com/x",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "javascript:alert(1)//https://hooks.example.com",
        "//hooks.example.com/x",
        "hooks.example.com/x",
        "https://",
        "https:///x",
        "https://user@hooks.example.com/",
        f"https://user:{SECRET}@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:x/",
        "https://hooks..example.com/",
        "https://-x.example.com/",
        "https://hooks.exam%70le.com/",
        "https://[::1/",
        "https://[v1.x]/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nX: y",
        "https://ho\tkhooks.example.com/",
        "https://hooks。example.com/",
        "",
    ],
)
def test_what_is_no_plain_url_is_refused_when_saved(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        EgressPolicy(resolve=answering("8.8.8.8")).check_url(text, where="url")
    assert caught.value.where == "url"
    assert SECRET not in str(caught.value)


def test_a_name_that_is_unknown_for_now_may_be_saved_and_is_judged_when_called() -> None:
    policy = EgressPolicy(resolve=answering(OSError("unknown"), "10.0.0.1"))
    assert policy.check_url("https://later.example.com/")
    with open_client(policy) as client, pytest.raises(EgressRefused):
        client.get("https://later.example.com/")
    with open_client(EgressPolicy(resolve=answering(OSError("unknown")))) as client, pytest.raises(httpx2.ConnectError):
        client.get("https://later.example.com/")


def test_the_setting_opens_networks_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_EGRESS_ALLOW", "10.0.0.0/8, fd00::/8,127.0.0.1, Mail.Inner.example")
    allow = load_settings().egress_allow
    assert allow == ("10.0.0.0/8", "fd00::/8", "127.0.0.1/32", "mail.inner.example")
    for host in ("10.9.9.9", "[fd00::1]", "[::ffff:10.0.0.1]", "127.0.0.1"):
        assert EgressPolicy(allow).check_url(f"http://{host}/")
    for host in ("127.0.0.2", "192.168.0.1", "[fe80::1]"):
        with pytest.raises(EgressRefused):
            EgressPolicy(allow).check_url(f"http://{host}/")
    named = EgressPolicy(allow, resolve=answering("192.168.0.9"))
    assert named.check_url("http://MAIL.inner.example./")
    for other in ("inner.example", "x.mail.inner.example"):
        with pytest.raises(EgressRefused):
            named.check_url(f"http://{other}/")
    metadata = EgressPolicy(allow, resolve=answering("169.254.169.254"))
    with pytest.raises(EgressRefused, match="link-local"):  # a name never opens that
        metadata.check_url("http://mail.inner.example/")


@pytest.mark.parametrize("given", ["10.0.0.0/99", "10.0.0.1/8", "a b", "http://x", "-x.example", "1.2.3", ":::"])
def test_the_setting_holds_networks_and_names_only(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_EGRESS_ALLOW", given)
    with pytest.raises(BadInput, match="HABEAS_EGRESS_ALLOW"):
        load_settings()


def test_the_system_resolves_names_of_this_machine_and_says_what_it_does_not_know() -> None:
    assert set(resolve_by_system("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(EgressRefused, match="loopback"):
        EgressPolicy().check_url("http://localhost:8080/")
    for name in ("nothing.invalid", "x" * 70 + ".example"):
        with pytest.raises(OSError):  # noqa: PT011 – any of them
            resolve_by_system(name, 80)


class Service(http.server.BaseHTTPRequestHandler):
    """A service outside that misbehaves by path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen: list[dict[str, Any]] = self.server.seen  # type: ignore[attr-defined]
        name = self.server.name  # type: ignore[attr-defined]
        seen.append({"path": self.path, **{key.lower(): value for key, value in self.headers.items()}})
        kind = self.path.strip("/")
        if kind == "redirect":
            self.answer(302, b"", Location="http://127.0.0.1:1/inner")
        elif kind == "large":
            self.answer(200, b"x" * 300_000)
        elif kind == "packed":
            self.answer(200, b"\x1f\x8b", **{"Content-Encoding": "gzip"})
        elif kind == "drip":
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            self.drip(b"x")
        elif kind == "drip_head":
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            self.drip(b"x")
        else:
            self.answer(200, name.encode())

    def drip(self, byte: bytes) -> None:
        try:
            for _ in range(100):
                self.wfile.write(byte)
                time.sleep(0.1)
        except OSError:  # the client had enough
            return

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving(address: str, name: str, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer((address, port), Service)
    server.seen, server.name, server.sni = [], name, []  # type: ignore[attr-defined]
    if tls:
        tls.sni_callback = lambda _socket, asked, _context: server.sni.append(asked)  # type: ignore[attr-defined]
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with serving("127.0.0.1", "the service") as server:
        yield server


def test_a_name_that_changes_its_answer_gains_nothing(service: Any) -> None:
    """DNS rebinding: harmless when saved, loopback when called."""
    policy = EgressPolicy(resolve=answering("8.8.8.8", "127.0.0.1"))
    url = policy.check_url(f"http://rebound.example.com:{service.server_port}/")
    before = len(service.seen)
    with open_client(policy) as client, pytest.raises(EgressRefused, match="loopback"):
        client.get(url)
    assert len(service.seen) == before


def test_the_address_that_was_judged_is_the_one_called_and_name_and_certificate_stay() -> None:
    """Between judging and connecting the name turns to another address, where somebody else listens."""
    authority = trustme.CA()
    tls, wanted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("pinned.example.com").configure_cert(tls)
    authority.configure_trust(wanted)
    with serving("127.0.0.2", "judged", tls=tls) as judged, serving("127.0.0.3", "other", judged.server_port) as other:
        policy = EgressPolicy(["127.0.0.2/32"], resolve=answering("127.0.0.2", "127.0.0.3"))
        with open_client(policy, verify=wanted) as client:
            answer = client.get(f"https://pinned.example.com:{judged.server_port}/x")
            assert answer.text == "judged"
            assert judged.seen[0]["host"] == f"pinned.example.com:{judged.server_port}"
            assert judged.sni == ["pinned.example.com"]
        with open_client(policy, verify=wanted) as client, pytest.raises(EgressRefused):
            client.get(f"https://pinned.example.com:{judged.server_port}/x")
        assert other.seen == []
        allowed = EgressPolicy(["127.0.0.2/32"], resolve=answering("127.0.0.2"))
        for url in ("https://wrong.example.com", "https://127.0.0.2"):  # the certificate is for the name
            with open_client(allowed, verify=wanted) as client, pytest.raises(httpx2.ConnectError):
                client.get(f"{url}:{judged.server_port}/x")


def test_the_next_address_of_a_name_is_tried(service: Any) -> None:
    policy = EgressPolicy(LOOPBACK, resolve=answering("127.0.0.4 ::1 127.0.0.1"))
    with open_client(policy) as client:
        assert client.get(f"http://many.example.com:{service.server_port}/").text == "the service"


def test_no_redirect_is_followed(service: Any) -> None:
    with open_client(EgressPolicy(LOOPBACK)) as client:
        answer = client.get(f"http://127.0.0.1:{service.server_port}/redirect")
    assert answer.status_code == 302
    inner = EgressPolicy(["127.0.0.0/8"], resolve=answering("10.0.0.1"))  # and if somebody did, it is judged
    with open_client(inner) as client, pytest.raises(EgressRefused):
        client.get("http://elsewhere.example.com/", follow_redirects=True)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("large", AnswerRefused),
        ("packed", AnswerRefused),
        ("drip", httpx2.ReadTimeout),
        ("drip_head", httpx2.ReadTimeout),
    ],
)
def test_an_answer_costs_so_much_and_no_more(service: Any, path: str, fault: type[Exception]) -> None:
    began = time.monotonic()
    policy = EgressPolicy(LOOPBACK)
    with open_client(policy, largest_answer=200_000, longest_seconds=0.5) as client, pytest.raises(fault):
        client.get(f"http://127.0.0.1:{service.server_port}/{path}")
    assert time.monotonic() - began < 5


def test_no_proxy_of_the_environment_is_used(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("127.0.0.1", "a proxy") as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
        with open_client(EgressPolicy(LOOPBACK)) as client:
            assert client.get(f"http://127.0.0.1:{service.server_port}/").text == "the service"
        assert proxy.seen == []


def test_threads_share_one_client(service: Any) -> None:
    with open_client(EgressPolicy(LOOPBACK)) as client:
        found: list[str] = []
        url = f"http://127.0.0.1:{service.server_port}/"
        threads = [threading.Thread(target=lambda: found.append(client.get(url).text)) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(30)
    assert found == ["the service"] * 8


@pytest.mark.parametrize("url", ["unix:///run/docker.sock", "file:///etc/passwd", "ws://127.0.0.1/"])
def test_nothing_but_http_is_called(url: str) -> None:
    with open_client(EgressPolicy(LOOPBACK)) as client, pytest.raises(httpx2.UnsupportedProtocol):
        client.get(url)
