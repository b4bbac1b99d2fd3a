"""Webhooks as they leave: signed so that anybody can check it, and each way of failing has its word."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from habeas.core.errors import BadInput, Forbidden
from habeas.deliver.pauses import pause_after
from habeas.deliver.webhooks import sending
from habeas.deliver.webhooks.sending import Call, send
from habeas.deliver.webhooks.signing import check_signature, signed_headers, signing_key
from hookbook import Receiver, receiving

SECRET = "whsec_" + base64.b64encode(b"a key of the tests, 24 or more").decode()
BODY = b'{"halt": false}'


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as found:
        yield found


def test_the_signature_is_that_of_the_open_specification() -> None:
    """Computed here by hand, from its text: base64 of HMAC-SHA256 over `id.timestamp.body`."""
    key = signing_key(SECRET)
    headers = signed_headers([key], "whc_1", 1700000000, BODY)
    wanted = hmac.new(key, b"whc_1.1700000000." + BODY, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(wanted).decode()
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("whc_1", "1700000000")
    assert "webhook-signature" not in signed_headers([], "whc_1", 1700000000, BODY)


def test_the_recipe_of_the_docs_tells_a_genuine_call() -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    written: dict[str, Any] = {}
    exec(compile(recipe, "docs/webhooks.md", "exec"), written)
    is_genuine = written["is_genuine"]
    for secret in (SECRET, "any words, if there are enough"):
        headers = signed_headers([signing_key(secret)], "whc_1", int(time.time()), BODY)
        assert is_genuine(secret, headers, BODY)
        assert not is_genuine(secret, headers, BODY + b" ")
        assert not is_genuine("another secret altogether", headers, BODY)
        old = signed_headers([signing_key(secret)], "whc_1", int(time.time()) - 3600, BODY)
        assert not is_genuine(secret, old, BODY)


def test_what_is_changed_late_or_anothers_is_refused() -> None:
    key, old = signing_key(SECRET), signing_key("another key of the tests, as text")
    headers = signed_headers([old, key], "whc_1", 1700000000, BODY)
    assert check_signature([key], headers, BODY, 1700000299) == "whc_1"
    assert check_signature([old], headers, BODY, 1700000000) == "whc_1"
    for changed, body, now in (
        ({}, BODY + b" ", 1700000000),
        ({"webhook-id": "whc_2"}, BODY, 1700000000),
        ({"webhook-timestamp": "1700000001"}, BODY, 1700000000),
        ({"webhook-timestamp": "soon"}, BODY, 1700000000),
        ({"webhook-signature": ""}, BODY, 1700000000),
        ({"webhook-signature": "v1,é"}, BODY, 1700000000),
        ({}, BODY, 1700000301),
        ({}, BODY, 1699999699),
    ):
        with pytest.raises(Forbidden):
            check_signature([key], headers | changed, body, now)
    with pytest.raises(Forbidden):
        check_signature([signing_key("a third key, that signed nothing")], headers, BODY, 1700000000)


@pytest.mark.parametrize("secret", ["short", "whsec_AAAA", "whsec_!", ""])
def test_a_key_that_could_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(BadInput):
        signing_key(secret)


def test_a_call_arrives_whole_and_its_answer_comes_back(receiver: Receiver, client: httpx2.Client) -> None:
    receiver.reset()
    receiver.answer = {"halt": True}
    key = signing_key(SECRET)
    call = Call("whc_1", receiver.url("/a"), BODY, [key], {"Authorization": "a secret"})
    answer = send(client, call, timestamp=1700000000)
    assert (answer.status, answer.cause, answer.body) == (200, None, b'{"halt": true}')
    assert answer.milliseconds >= 0
    (came,) = receiver.calls
    assert came.raw == BODY
    assert came.headers["authorization"] == "a secret"
    assert came.headers["content-type"] == "application/json"
    assert check_signature([key], came.headers, came.raw, 1700000000) == "whc_1"
    assert "a secret" not in repr(call)


@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        (204, 204, None),
        (404, 404, "rejected"),
        (503, 503, "failing"),
        ("redirect", 307, "redirected"),
        ("too_large", 200, "too_large"),
        ("reset_before", None, "lost"),
        ("reset_after", None, "lost"),
        ("garbage", None, "lost"),
        ("hang", None, "timeout"),
        ("drip", 200, "timeout"),
    ],
)
def test_each_way_of_failing_has_its_word(
    receiver: Receiver,
    client: httpx2.Client,
    monkeypatch: pytest.MonkeyPatch,
    fault: object,
    status: int | None,
    cause: str | None,
) -> None:
    monkeypatch.setattr(sending, "TIMEOUT", httpx2.Timeout(0.2))
    monkeypatch.setattr(sending, "LONGEST_SECONDS", 0.1)
    receiver.reset()
    receiver.answer = fault
    answer = send(client, Call("whc_1", receiver.url(), BODY), timestamp=1)
    assert (answer.status, answer.cause) == (status, cause)
    assert [each.path for each in receiver.calls] == ([] if fault == "reset_before" else ["/hook"])


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:1/", "unreachable"),
        ("ftp://127.0.0.1/", "bad_address"),
        ("http://[::1/", "bad_address"),
        ("/hook", "bad_address"),
    ],
)
def test_what_cannot_be_called_is_told_too(client: httpx2.Client, url: str, cause: str) -> None:
    answer = send(client, Call("whc_1", url, BODY), timestamp=1)
    assert (answer.status, answer.cause) == (None, cause)


def test_pauses_grow_and_a_receiver_may_ask_for_more(receiver: Receiver, client: httpx2.Client) -> None:
    assert [pause_after(attempts) for attempts in (1, 2, 3, 7)] == [2, 8, 32, 3600]
    assert pause_after(1, 60.0) == 60
    assert pause_after(3, 1.0) == 32
    assert pause_after(1, 10**6) == 3600
    assert sending._seconds("120") == 120
    assert sending._seconds("Wed, 21 Oct 2026 07:28:00 GMT") is None
