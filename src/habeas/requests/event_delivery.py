"""Sending events to their webhooks: out of the outbox, signed, again after a pause, given up visibly in the end.

A delivery's `webhook-id` is the same in every attempt and every replay, so that receivers tell a repeated one. While a
receiver fails, all that waits for it waits with it, so that it doesn't hold others up. After a few events in a row were
given up the webhook is disabled: in the audit trail, in the log, and as an event for those who still listen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx2
import msgspec

from habeas.core.log import get_logger
from habeas.deliver.pauses import pause_after
from habeas.deliver.webhooks.sending import MOST_ATTEMPTS, Answer, Call, send
from habeas.durable.boundary import reach
from habeas.egress.client import open_client
from habeas.egress.policy import EgressPolicy
from habeas.requests.event_webhooks import PREFIX, open_secret
from habeas.requests.events import told
from habeas.requests.installation import Installation
from habeas.requests.outgoing import claim_one, release_all
from habeas.requests.rounds import serve_due
from habeas.store import audit, event_webhooks, events, outbox
from habeas.store.outbox import Outgoing

STALE_SECONDS = 120.0  # far longer than an attempt
MOST_GIVEN_UP = 3  # in a row; each was tried for almost two hours
THREADS = 4


class EventSender:
    """Sends what is due. `claimant` names the process."""

    def __init__(self, installation: Installation, claimant: str) -> None:
        self._installation = installation
        self._claimant = claimant

    def serve(self, due: threading.Event, stop: threading.Event) -> None:
        """Send whenever `due` is set, until `stop`, by a few threads."""
        others = [threading.Thread(target=self._serve, args=(due, stop), daemon=True) for _ in range(THREADS - 1)]
        for each in others:
            each.start()
        self._serve(due, stop)
        for each in others:
            each.join()

    def _serve(self, due: threading.Event, stop: threading.Event) -> None:
        def send_all() -> None:
            while not stop.is_set() and self.send_one(client):
                continue

        with open_client(EgressPolicy(self._installation.settings.egress_allow)) as client:
            serve_due("event_webhooks.round_failed", send_all, due, stop)

    def send_one(self, client: httpx2.Client) -> bool:
        """Send the oldest delivery that is due; whether there was one."""
        outgoing = claim_one(self._installation, self._claimant, PREFIX, STALE_SECONDS)
        if outgoing is None:
            return False
        reach("event.claimed")
        self._deliver(client, outgoing)
        return True

    def _deliver(self, client: httpx2.Client, outgoing: Outgoing) -> None:
        installation = self._installation
        webhook_id, _, position = outgoing.subject.partition("/")
        with installation.database.read() as connection:
            webhook = event_webhooks.find(connection, id_=webhook_id)
            event = events.find(connection, int(position))
        if webhook is None or webhook["disabled"] or event is None:
            self._give_up(outgoing, "event_gone" if event is None else "disabled", None)
            return
        call = Call(
            id=f"{webhook_id}.{position}",
            url=webhook["url"],
            body=msgspec.json.encode(told(event)),
            keys=[open_secret(installation, webhook)],
        )
        answer = send(client, call, timestamp=int(installation.clock.now().timestamp()))
        reach("event.sent")
        if answer.cause is None:
            with installation.database.begin() as connection:
                outbox.mark_sent(connection, installation.clock, self._claimant, [outgoing.id])
                event_webhooks.note_result(connection, webhook_id, installation.clock.now(), MOST_GIVEN_UP, good=True)
            return
        error = answer.cause if answer.status is None else f"{answer.cause}_{answer.status}"
        if outgoing.attempts < MOST_ATTEMPTS:
            self._put_off(outgoing, webhook, error, answer)
        else:
            self._give_up(outgoing, error, webhook)

    def _put_off(self, outgoing: Outgoing, webhook: dict[str, Any], error: str, answer: Answer) -> None:
        installation = self._installation
        pause = timedelta(seconds=pause_after(outgoing.attempts, answer.retry_after))
        due = installation.clock.now() + pause
        with installation.database.begin() as connection:
            outbox.put_off(connection, self._claimant, outgoing.id, due, error)
            outbox.hold_back(connection, PREFIX, f"{webhook['id']}/", due)
        get_logger(__name__).warning(
            "event_webhook.put_off", webhook=webhook["key"], cause=error, attempt=outgoing.attempts
        )

    def _give_up(self, outgoing: Outgoing, error: str, webhook: dict[str, Any] | None) -> None:
        """`webhook`: whose failure it is."""
        installation, now = self._installation, self._installation.clock.now()
        log: Callable[..., object] = get_logger(__name__).warning
        with installation.database.begin() as connection:
            ours = outbox.give_up(connection, installation.clock, self._claimant, outgoing.id, error, keep_body=False)
            ended = (
                ours
                and webhook is not None
                and event_webhooks.note_result(connection, webhook["id"], now, MOST_GIVEN_UP, good=False)
            )
            if ended and webhook is not None:
                left = outbox.give_up_all(connection, now, PREFIX, f"{webhook['id']}/", "disabled")
                detail = {"webhook": webhook["key"], "cause": error}
                events.append(connection, now, [{"type": events.WEBHOOK_DISABLED, "detail": detail}])
                audit.append(
                    connection,
                    installation.clock,
                    "habeas",
                    "event_webhook.disabled",
                    webhook["key"],
                    {"cause": error, "waiting": left},
                )
        name = None if webhook is None else webhook["key"]
        log("event_webhook.disabled" if ended else "event_webhook.failed", webhook=name, cause=error)


def take_over(installation: Installation, claimant: str | None) -> None:
    """Take up at once what a dead process had claimed; None: all of it, where nobody else can run."""
    release_all(installation, PREFIX, claimant)
