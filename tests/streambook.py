"""Reading server-sent events as the specification says, and an application's stream without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Message


class Sent(NamedTuple):
    """One event: its id, its name, what it says."""

    id: int
    name: str
    data: dict[str, Any]


def read_events(lines: Iterable[str]) -> Iterator[Sent]:
    """The events of a stream's lines, by and by; comments and blocks without data are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Sent(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        fields = {}


class Stream:
    """A stream that an application answers in this process. Its reader takes what it is sent only when asked to."""

    def __init__(self, app: ASGIApp, path: str, headers: Mapping[str, str], query: str = "") -> None:
        self._app = app
        self._scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("habeas.test", 80),
        }
        self._messages: asyncio.Queue[Message] = asyncio.Queue(1)  # what the reader hasn't taken holds the writer up
        self._gone = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.status = 0

    async def open(self) -> None:
        """Begin, and read the answer's head."""
        self.task = asyncio.create_task(self._app(self._scope, self._receive, self._messages.put))  # type: ignore[arg-type]
        self.status = (await self.part())["status"]

    async def part(self, seconds: float = 10) -> Message:
        """The next message of the answer."""
        async with asyncio.timeout(seconds):
            return await self._messages.get()

    async def events(self, count: int) -> list[Sent]:
        """The next events; fails where the stream ends before."""
        found: list[Sent] = []
        while len(found) < count:
            message = await self.part()
            assert message["more_body"], message
            found += read_events(message["body"].decode().split("\n"))
        return found

    async def rest(self) -> str:
        """What is still said until the end."""
        said = ""
        while True:
            message = await self.part()
            said += message["body"].decode()
            if not message["more_body"]:
                return said

    async def close(self) -> None:
        """Go away, as a client that disconnects."""
        self._gone.set()
        while self.task is not None and not self.task.done():
            try:
                await self.part(0.05)
            except TimeoutError:
                continue

    async def _receive(self) -> Message:
        if not hasattr(self, "_asked"):
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}
