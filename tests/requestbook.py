"""What the tests of requests share: a caller, a right item, and counting our own statements."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import sqlalchemy as sa

from habeas.requests.clients import Actor
from habeas.requests.installation import Installation
from habeas.requests.messages import Draft
from habeas.store.tables import outbox

CLIENT = Actor("client-1", frozenset({"privacy-request:create"}))
MAIL: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_from": "privacy@example.org"}  # where no message is sent
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@contextmanager
def statements_of(installation: Installation) -> Iterator[list[str]]:
    """The statements that run on our own database while the block does, BEGIN and COMMIT aside."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    def copy(cursor: Any, statement: Any, *more: Any, **named: Any) -> Any:
        seen.append(str(statement))
        return driver_copy(cursor, statement, *more, **named)

    engine, driver_copy = installation.database._engine, psycopg.Cursor.copy
    sa.event.listen(engine, "before_cursor_execute", note)
    psycopg.Cursor.copy = copy  # type: ignore[method-assign,assignment]  # SQLAlchemy doesn't tell of it
    try:
        yield seen
    finally:
        psycopg.Cursor.copy = driver_copy  # type: ignore[method-assign]
        sa.event.remove(engine, "before_cursor_execute", note)


def item(**given: Any) -> dict[str, Any]:
    """A right item of an access request."""
    return {"policy_key": "download", "identity": {"email": "ada@example.com"}} | given


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Returns as soon as it is so, fails when it isn't in time."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it didn't happen in time"
        threading.Event().wait(0.01)


def drafts(installation: Installation, request_id: str) -> list[Draft]:
    """What waits in the outbox about a request, oldest first."""
    with installation.database.read() as connection:
        rows = connection.execute(outbox.select().where(outbox.c.subject == request_id).order_by(outbox.c.id)).all()
    context = [(row.kind, row.sealed_body) for row in rows if row.sealed_body is not None]
    opened = [installation.vault.open("message", body, f"{kind}/{request_id}") for kind, body in context]
    return [msgspec.json.decode(plain, type=Draft) for plain in opened]


def code_of(installation: Installation, request_id: str) -> str:
    return drafts(installation, request_id)[-1].values["code"]
