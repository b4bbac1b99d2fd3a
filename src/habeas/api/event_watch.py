"""What the streams of one process share: the news that there are new events, and how many streams there are.

One look at the database a fraction of a second serves all streams, and none is taken while there are none. Holds no
events: each stream reads its own, when its reader has taken the ones before.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool

from habeas.core.errors import HabeasError
from habeas.core.log import get_logger

LOOK_SECONDS = 0.25
MOST_STREAMS = 200  # of a process
MOST_OF_A_CALLER = 20


class TooManyStreams(HabeasError):
    """No further stream of events now."""

    status = 429
    code = "too_many_streams"
    retryable = True


class EventWatch:
    """Knows the newest position. Used on the event loop alone; `look` gives it, in a thread."""

    def __init__(self, look: Callable[[], int]) -> None:
        self._look = look
        self._position = -1
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._streams: Counter[str] = Counter()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the process is ending, and its streams with it."""
        return self._closed

    @contextmanager
    def stream(self, caller: str) -> Iterator[None]:
        """Counts a stream of a caller while the block runs. Raises TooManyStreams."""
        if self._streams.total() >= MOST_STREAMS or self._streams[caller] >= MOST_OF_A_CALLER:
            limit = f"{MOST_OF_A_CALLER} streams of a client, {MOST_STREAMS} in all"
            raise TooManyStreams("too many streams are open", fix=f"close some: {limit}")
        self._streams[caller] += 1
        try:
            yield
        finally:
            self._streams[caller] -= 1
            if not self._streams[caller]:
                del self._streams[caller]

    async def newest(self, seen: int, seconds: float) -> int:
        """The newest position, as soon as it is beyond `seen`, or as it is when the time is over."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())
        deadline = asyncio.get_running_loop().time() + seconds
        while self._position <= seen and not self._closed:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            news = self._news
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                break
        return max(self._position, seen)

    def close(self) -> None:
        """Let all streams end; from the loop's own thread."""
        self._closed = True
        self._news.set()

    async def _watch(self) -> None:
        while self._streams and not self._closed:
            try:
                position = await run_in_threadpool(self._look)
            except HabeasError as problem:  # our database is away: streams hear it where they read themselves
                get_logger(__name__).warning("events.look_failed", code=problem.code)
                position = self._position
            if position > self._position:
                self._position = position
                news, self._news = self._news, asyncio.Event()
                news.set()
            await asyncio.sleep(LOOK_SECONDS)
