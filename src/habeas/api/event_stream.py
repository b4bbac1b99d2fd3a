"""One stream of server-sent events (WHATWG HTML §9.2): reads a page when its reader has taken the one before.

So a slow reader costs what one page costs, and one that takes nothing for a while is cut off; whoever comes back goes
on behind the last event it saw. The stream ends with the token that opened it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from habeas.api.event_watch import EventWatch
from habeas.core.errors import Forbidden, HabeasError, Unauthorised

BEAT_SECONDS = 15.0
TOKEN_SECONDS = 5.0  # how long a stream may outlive its token
SEND_SECONDS = 30.0  # how long a reader may take nothing
RETRY_MILLISECONDS = 1000

Page = Callable[[int, int], tuple[list[dict[str, Any]], int]]


class EventStream(Response):
    """The answer, from one position on; `span` says which is the newest too. `read` gives events after one position and
    up to another, `check` raises once the token is no good; both are called in threads.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        watch: EventWatch,
        caller: str,
        span: tuple[int, int],
        read: Page,
        check: Callable[[], object],
        *,
        follow: bool,
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._seen, self._until = span
        self._watch, self._caller, self._read, self._check = watch, caller, read, check
        self._follow = follow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell events until the reader goes, the token ends, or, where it doesn't follow, all are told."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.create_task(_gone(receive))
        try:
            with self._watch.stream(self._caller):
                last = await self._tell(_Writer(send), gone)
            await _Writer(send).write(f"id: {self._seen}\n: {last}\n\n", more=False)
        except (TimeoutError, OSError):
            return  # the reader takes nothing, or is gone: without an end of the body, it knows
        finally:
            gone.cancel()

    async def _tell(self, writer: _Writer, gone: asyncio.Task[None]) -> str:
        """Why the stream ends."""
        await writer.write(f"retry: {RETRY_MILLISECONDS}\nid: {self._seen}\n\n")
        checked = beaten = time.monotonic()
        while not gone.done() and not self._watch.closed:
            if self._seen < self._until:
                try:
                    events, self._seen = await run_in_threadpool(self._read, self._seen, self._until)
                except HabeasError as problem:
                    return problem.code
                if events:
                    await writer.write("".join(map(_spelled, events)))
                    beaten = time.monotonic()
            elif not self._follow:
                return "that is all"
            if time.monotonic() - checked > TOKEN_SECONDS:
                if not await run_in_threadpool(self._holds):
                    return "the token ended"
                checked = time.monotonic()
            if time.monotonic() - beaten > BEAT_SECONDS:
                await writer.write(f"id: {self._seen}\n: beat\n\n")
                beaten = time.monotonic()
            if self._seen >= self._until and self._follow:
                self._until = await self._watch.newest(self._seen, 1.0)
        return "the server stops"

    def _holds(self) -> bool:
        try:
            self._check()
        except (Unauthorised, Forbidden):
            return False
        return True


class _Writer:
    """Sends parts of a body; TimeoutError where the reader takes nothing for long."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def write(self, text: str, *, more: bool = True) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await self._send({"type": "http.response.body", "body": text.encode(), "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _spelled(event: dict[str, Any]) -> str:
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return f"id: {event['id']}\nevent: {event['type']}\ndata: {data}\n\n"
