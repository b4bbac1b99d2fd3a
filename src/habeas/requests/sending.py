"""The sender: takes messages out of the outbox and sends them, one at a time; one thread in each worker.

Before a message is sent its claim is committed, and after that its end. Whoever dies in between leaves exactly one
message in doubt, which is sent again under the same `Message-ID`; nothing is lost. What fails is put off, later each
time, and in the end given up visibly. Never decides what is sent, or to whom.
"""

from __future__ import annotations

import threading
from datetime import timedelta

from habeas.core.errors import HabeasError
from habeas.core.log import get_logger
from habeas.deliver.messages.base import MessageFailed, NoMessenger
from habeas.deliver.pauses import pause_after
from habeas.durable.boundary import reach
from habeas.requests.installation import Installation
from habeas.requests.messages import PREFIX, open_message, open_messenger
from habeas.requests.outgoing import claim_one, release_all
from habeas.requests.rounds import serve_due
from habeas.store import outbox
from habeas.store.outbox import Outgoing

STALE_SECONDS = 300.0  # far longer than any vendor's timeouts
MOST_ATTEMPTS = 10  # with the pauses, a little more than four hours


class Sender:
    """Sends what is due. `claimant` names the process; not shared between threads."""

    def __init__(self, installation: Installation, claimant: str) -> None:
        self._installation = installation
        self._claimant = claimant

    def serve(self, due: threading.Event, stop: threading.Event) -> None:
        """Send whenever `due` is set, until `stop`. A fault of ours or of our database is logged, and what it hit is
        found again.
        """

        def send_due() -> None:
            while not stop.is_set() and self.send_one():
                continue

        serve_due("messages.round_failed", send_due, due, stop)

    def send_one(self) -> bool:
        """Send the oldest message that is due; whether there was one."""
        outgoing = claim_one(self._installation, self._claimant, PREFIX, STALE_SECONDS)
        if outgoing is None:
            return False
        reach("message.claimed")
        try:
            error = self._send(outgoing)
        except Exception:
            self._put_off(outgoing, "internal", passing=True)
            raise
        reach("message.sent")
        if error is None:
            with self._installation.database.begin() as connection:
                outbox.mark_sent(connection, self._installation.clock, self._claimant, [outgoing.id])
        else:
            self._put_off(outgoing, *error)
        return True

    def _send(self, outgoing: Outgoing) -> tuple[str, bool] | None:
        """None where it went out, else the cause and whether it may pass."""
        installation = self._installation
        draft, message = open_message(installation, outgoing)
        if draft.expires_at is not None and draft.expires_at <= installation.clock.now():
            return "expired", False
        try:
            with installation.database.read() as connection:
                vendor = open_messenger(installation, connection)
            vendor.send(message)
        except MessageFailed as problem:
            return problem.cause, problem.passing
        except NoMessenger as problem:
            return problem.code, True
        except HabeasError as problem:  # settings that don't fit: whoever mends them lets it go out
            return problem.code, True
        return None

    def _put_off(self, outgoing: Outgoing, cause: str, passing: bool) -> None:
        installation, now = self._installation, self._installation.clock.now()
        again = passing and outgoing.attempts < MOST_ATTEMPTS
        with installation.database.begin() as connection:
            if again:
                due = now + timedelta(seconds=pause_after(outgoing.attempts))
                outbox.put_off(connection, self._claimant, outgoing.id, due, cause)
            else:
                keep = cause != "expired"
                outbox.give_up(connection, installation.clock, self._claimant, outgoing.id, cause, keep_body=keep)
        get_logger(__name__).warning(
            "message.put_off" if again else "message.failed",
            message=outgoing.id,
            kind=outgoing.kind,
            cause=cause,
            attempt=outgoing.attempts,
        )


def take_over(installation: Installation, claimant: str | None) -> None:
    """Take up at once what a dead process had claimed; None: all of it, where nobody else can run."""
    release_all(installation, PREFIX, claimant)
