"""The HTTP client for outside systems: it connects to the very address that was judged, and waits and reads so long.

Name and certificate stay those of the URL, so a name that changes its answer between check and connect changes
nothing. No redirect is followed, no proxy or certificate path is taken from the environment, no answer is unpacked.
Never logs; never tries again.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore2
import httpx2

from habeas.core.errors import SourceError
from habeas.egress.policy import EgressPolicy

TIMEOUT = httpx2.Timeout(10.0, connect=5.0)
LONGEST_SECONDS = 60.0  # of a whole call, however slowly it is answered
LARGEST_ANSWER = 16 * 1024 * 1024

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


class AnswerRefused(SourceError):
    """An answer that is larger than allowed, or packed although it was asked for as it is."""

    code = "too_large"
    retryable = False


def open_client(
    policy: EgressPolicy,
    *,
    timeout: httpx2.Timeout = TIMEOUT,
    longest_seconds: float = LONGEST_SECONDS,
    largest_answer: int = LARGEST_ANSWER,
    verify: ssl.SSLContext | None = None,
) -> httpx2.Client:
    """A client whose every connection the policy judged. Safe between threads; close it.

    A call may raise EgressRefused and AnswerRefused beside what httpx2 raises. `verify`: certificates other than the
    system's.
    """
    return httpx2.Client(
        transport=_Transport(policy, verify, longest_seconds, largest_answer),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "habeas", "Accept-Encoding": "identity"},
    )


class _Transport(httpx2.BaseTransport):
    """httpx2's requests over a pool of httpcore2, whose public seam for the network is ours."""

    def __init__(
        self, policy: EgressPolicy, verify: ssl.SSLContext | None, longest_seconds: float, largest_answer: int
    ) -> None:
        context = verify or httpx2.create_ssl_context(trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,  # a name's address may change
            network_backend=_Network(policy),
        )
        self._longest, self._largest = longest_seconds, largest_answer

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if url.scheme not in ("http", "https"):
            raise httpx2.UnsupportedProtocol("only http and https are called")
        deadline = time.monotonic() + self._longest
        with _named(), _within(deadline):
            answer = self._pool.handle_request(
                httpcore2.Request(
                    method=request.method,
                    url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, deadline, self._largest),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, answer: httpcore2.Response, deadline: float, largest: int) -> None:
        self._answer, self._deadline, self._largest = answer, deadline, largest

    def __iter__(self) -> Iterator[bytes]:
        packed = {value.strip().lower() for name, value in self._answer.headers if name.lower() == b"content-encoding"}
        if packed - {b"identity", b""}:
            raise AnswerRefused("the answer is packed, although it was asked for as it is")
        read = 0
        parts = self._answer.iter_stream()
        while True:
            with _named(), _within(self._deadline):
                part = next(parts, None)
            if part is None:
                return
            read += len(part)
            if read > self._largest:
                raise AnswerRefused(f"the answer is larger than {self._largest} bytes")
            yield part

    def close(self) -> None:
        with _named():
            self._answer.close()


class _Network(httpcore2.NetworkBackend):
    """Connects to an address that the policy judged, and to no name."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            found = self._policy.addresses(host, port)
        except OSError:
            raise httpcore2.ConnectError("the name has no address") from None
        ends = time.monotonic() + (timeout if timeout is not None else LONGEST_SECONDS)
        for address in found[:-1]:
            try:
                left = max(0.1, (ends - time.monotonic()) / 2)  # so that the next one has time, too
                return _Stream(self._sockets.connect_tcp(address, port, _left(left), local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        left = max(0.1, ends - time.monotonic())
        return _Stream(self._sockets.connect_tcp(found[-1], port, _left(left), local_address, socket_options))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        raise httpcore2.UnsupportedProtocol("no socket of this machine is called")


class _Stream(httpcore2.NetworkStream):
    """A stream that waits no longer than the call it serves may last."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None) -> float | None:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("the call lasted too long")
    return min(left, timeout if timeout is not None else LONGEST_SECONDS)


@contextmanager
def _within(deadline: float) -> Iterator[None]:
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def _named() -> Iterator[None]:
    """httpcore2's errors as httpx2's, which have the same names."""
    try:
        yield
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as problem:
        raise getattr(httpx2, type(problem).__name__)(str(problem)) from problem
    except (httpcore2.ProxyError, httpcore2.UnsupportedProtocol) as problem:
        raise httpx2.UnsupportedProtocol(str(problem)) from problem
