"""The processors who erase by hand: which there are, whether they can be told, and what an erasure lacks for them.

Asked where a request begins, so that an erasure which can't be told to all is refused before it writes anything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from habeas.connectors.base import Connector
from habeas.connectors.instructed import InstructedConnector, InstructedSecrets
from habeas.connectors.registry import connector_class
from habeas.core.errors import BadInput, HabeasError, Refused
from habeas.plan.model import NotSearched
from habeas.requests.means import Means
from habeas.requests.messages import open_messenger, try_sending
from habeas.requests.secrets import connector_of
from habeas.store import connections as store


class Processor(NamedTuple):
    """A processor who can be told: the connection's key and where and what she is told."""

    key: str
    secrets: InstructedSecrets


class Processors:
    """The processors as configured, read again when the configuration changed. Not shared between threads."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._stamp: str | None = None
        self._known: tuple[Processor, ...] = ()

    def of(self, stamp: str) -> Sequence[Processor]:
        """Those that may be told (enabled, access `write`), at the configuration of this stamp. Raises Refused where
        one can't be: it has no settings, or messages can't be sent.
        """
        if stamp != self._stamp:
            with self._means.database.read() as connection:
                rows = [row for row in store.list_all(connection) if _is_told(row)]
            self._known = tuple(_processor(self._means, row) for row in rows)
            self._stamp = stamp
        if self._known:
            _check_sendable(self._means)
        return self._known


def find_processor(connection: Connection, means: Means, key: str) -> Processor | None:
    """The processor of a connection; None where it is gone or its settings don't fit."""
    row = store.find_connection(connection, key)
    if row is None:
        return None
    try:
        return _processor(means, row)
    except Refused:
        return None


def untold(processors: Sequence[Processor], kinds: Collection[str]) -> list[NotSearched]:
    """Those to whom none of these identity kinds may be named."""
    return [
        NotSearched(each.key, "identity_absent", " or ".join(each.secrets.identities))
        for each in processors
        if not set(each.secrets.identities) & set(kinds)
    ]


def try_instructing(means: Means, connector: Connector) -> HabeasError | None:
    """Why a processor can't be told; sends the test message where there is an address for it."""
    if not isinstance(connector, InstructedConnector):
        return None
    try:
        _check_sendable(means)
        address = connector.secrets.test_email
        return None if address is None else try_sending(means, address)
    except HabeasError as problem:
        return problem


def _is_told(row: store.ConnectionRow) -> bool:
    kind = connector_class(row.connection_type)
    return kind.capabilities.is_instructed and not row.disabled and row.access == "write"


def _processor(means: Means, row: store.ConnectionRow) -> Processor:
    try:
        connector = connector_of(means.vault, means.settings, row)
    except BadInput as problem:
        raise Refused(problem.message, cause="no_messenger", where=row.key, fix=problem.fix) from None
    if not isinstance(connector, InstructedConnector):
        raise Refused("is no processor any more", cause="no_messenger", where=row.key)
    return Processor(row.key, connector.secrets)


def _check_sendable(means: Means) -> None:
    if means.settings.public_url is None:
        raise Refused(
            "a processor is to be told by a message with a link, and it isn't known where people reach this habeas",
            cause="no_messenger",
            fix="set HABEAS_PUBLIC_URL",
        )
    try:
        with means.database.read() as connection:
            open_messenger(means, connection)
    except BadInput as problem:
        raise Refused(problem.message, cause="no_messenger", where=problem.where, fix=problem.fix) from None
