"""Sending one webhook, once: the call, its bounded answer, and in one word what went wrong. Never tries again itself.

The client is the caller's; it decides which addresses may be reached, and how long a call may last. No redirect is
followed, since a signed body is for one receiver. What a receiver answers is never logged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx2

from habeas.core.errors import HabeasError
from habeas.deliver.webhooks.signing import signed_headers

TIMEOUT = httpx2.Timeout(10.0, connect=5.0)
LONGEST_SECONDS = 20.0  # of a whole answer, however slowly it comes
LARGEST_ANSWER = 64 * 1024
MOST_ATTEMPTS = 8  # with the pauses, almost two hours


@dataclass(frozen=True)
class Call:
    """What is sent to whom. `id` is the same for every attempt."""

    id: str
    url: str
    body: bytes = field(repr=False)
    keys: Sequence[bytes] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Answer(NamedTuple):
    """What came of an attempt. `cause` is None for a 2xx that was read whole, else one word: `unreachable`, `timeout`,
    `lost`, `redirected`, `rejected` (4xx), `failing` (5xx), `too_large`, or the code of what forbade the call.
    """

    status: int | None
    cause: str | None
    milliseconds: int
    body: bytes = b""
    retry_after: float | None = None  # seconds that the receiver asked for


def send(client: httpx2.Client, call: Call, *, timestamp: int) -> Answer:
    """Send a call and read its answer. Never raises for what the receiver does."""
    began = time.monotonic()
    headers = {"Content-Type": "application/json", **call.headers}
    headers |= signed_headers(call.keys, call.id, timestamp, call.body)
    status, retry_after = None, None
    try:
        request = client.build_request("POST", call.url, content=call.body, headers=headers, timeout=TIMEOUT)
        response = client.send(request, stream=True, follow_redirects=False)
        try:
            status, retry_after = response.status_code, _seconds(response.headers.get("retry-after", ""))
            body, cause = _read(response, began)
        finally:
            response.close()
        cause = cause_of(status) or cause
    except HabeasError as problem:  # the address may not be called
        cause, body = problem.code, b""
    except httpx2.HTTPError as problem:
        cause, body = _cause(problem), b""
    except (httpx2.InvalidURL, ValueError):
        cause, body = "bad_address", b""
    return Answer(status, cause, round((time.monotonic() - began) * 1000), body if cause is None else b"", retry_after)


def cause_of(status: int) -> str | None:
    """What a status means: None for 2xx."""
    words = {1: "failing", 2: None, 3: "redirected", 4: "rejected"}
    return words.get(status // 100, "failing")


def _read(response: httpx2.Response, began: float) -> tuple[bytes, str | None]:
    read = bytearray()
    for chunk in response.iter_bytes():
        read += chunk
        if len(read) > LARGEST_ANSWER:
            return b"", "too_large"
        if time.monotonic() - began > LONGEST_SECONDS:
            return b"", "timeout"
    return bytes(read), None


def _cause(problem: httpx2.HTTPError) -> str:
    if isinstance(problem, httpx2.TimeoutException):
        return "timeout"
    if isinstance(problem, httpx2.ConnectError):
        return "unreachable"
    if isinstance(problem, httpx2.UnsupportedProtocol):
        return "bad_address"
    return "lost"  # cut off, or no HTTP: nobody knows what the receiver did


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
