"""How long a client may take to send a call: its head within seconds, its body at a pace that any line has.

Without this a few hundred connections that trickle bytes hold a server for ever. What is answered, and to whom, is
decided elsewhere; nothing is read ahead.
"""

from __future__ import annotations

import asyncio
import time

from starlette.types import Message, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

from habeas.core.errors import HabeasError

HEAD_SECONDS = 15.0
BODY_SECONDS = 20.0  # of waiting, and one more for each PACE bytes
PACE = 16 * 1024


class TooSlow(HabeasError):
    """The body of a call came too slowly."""

    status = 408
    code = "too_slow"
    retryable = True


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which closes a connection whose next head isn't whole in time."""

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """A head is awaited from the first moment."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Part of a head or body; the time runs on until a head is whole."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Until the next byte uvicorn's own limit for idle connections holds."""
        self._stop()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; nothing is awaited any more."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._closing is None:
            self._closing = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


class PatientReceive:
    """What an application receives of one call; raises TooSlow when its body comes below the pace."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = BODY_SECONDS
        self._whole = False

    async def __call__(self) -> Message:
        """The next message. After the whole body there is no hurry: what comes is the client's end."""
        if self._whole:
            return await self._receive()
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow("the body came too slowly", fix="send it at once, over a line that is fast enough") from None
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        spent = time.monotonic() - began - len(message.get("body", b"")) / PACE
        self._left = min(BODY_SECONDS, self._left - spent)
        return message
