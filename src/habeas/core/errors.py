"""The one root of all errors of habeas, each with its HTTP status and whether trying again can help.

Messages say what, where and what would be right. They never hold a value of personal data: whoever
raises names places (dataset, collection, field, line, column, key), not contents. The API edge turns
these into `application/problem+json`, the flow turns them into a request's reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class HabeasError(Exception):
    """Root of all our errors. `code` is one snake_case word, stable, for programs.

    `advice` is what a person can do where whoever raised knew no better `fix`.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    advice: ClassVar[str] = "retry"
    part: ClassVar[str] = "body"  # of a call, that `where` is in: body, query or header

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.fix:
            parts.append(self.fix)
        return " – ".join(parts)


class BadInput(HabeasError):
    """The caller's input can't be read or is not allowed; nothing was written."""

    status = 422
    code = "bad_input"


class BadQueryInput(BadInput):
    """A parameter of the query is not allowed; `where` is its name."""

    part = "query"


class BadHeader(BadInput):
    """A header is not allowed; `where` is its name."""

    part = "header"


class BadSyntax(BadInput):
    """The input is not well-formed JSON or YAML; `where` names line and column."""

    status = 400
    code = "bad_syntax"


class Unauthorised(HabeasError):
    """No valid token."""

    status = 401
    code = "unauthorised"


class Forbidden(HabeasError):
    """A valid caller without the scope this needs."""

    status = 403
    code = "forbidden"


class NotFound(HabeasError):
    """The named thing does not exist."""

    status = 404
    code = "not_found"


class Conflict(HabeasError):
    """The thing exists but its state doesn't allow this."""

    status = 409
    code = "conflict"


class NotOffered(HabeasError):
    """Asked for something that this version doesn't do."""

    status = 501
    code = "not_offered"


class Unavailable(HabeasError):
    """Something of our own (database, disk, engine) is out of reach for now."""

    status = 503
    code = "unavailable"
    retryable = True


class DatabaseAway(Unavailable):
    """Our own database is locked or gone. What waits for it is still there when it comes back."""


class SourceError(HabeasError):
    """A connected system failed. Subclasses say how; the message never repeats the driver's text."""

    status = 502
    code = "source_failed"
    retryable = True


class SourceUnreachable(SourceError):
    """The system can't be reached or the link was lost."""

    code = "unreachable"
    advice = "see that the system runs and can be reached, then retry"


class SourceUnreadable(SourceError):
    """Text that can't be read exactly: bytes that are none in its encoding, or characters that Unicode lacks."""

    code = "unreadable"
    retryable = False
    advice = "mend the text in the system, or take the field out of the dataset"


class SourceTimeout(SourceError):
    """A statement or lock ran into its time limit."""

    code = "timeout"
    advice = "retry when the system is less busy, or see what holds the lock or which index is missing"


class SourceDenied(SourceError):
    """Wrong credentials, or a privilege is missing. Trying again without a change can't help."""

    code = "denied"
    retryable = False
    advice = "correct the credentials or grant the privilege, then retry"


class SourceRejected(SourceError):
    """The system refused a write by a rule of its own (constraint, trigger). The same write fails again."""

    code = "rejected"
    retryable = False
    advice = "see which constraint or trigger refuses it, then retry"


class SchemaChanged(SourceError):
    """The live schema is not the one the plan was made for; plan again."""

    code = "drift"


class Refused(HabeasError):
    """The request can't be answered as asked, found before the first write.

    `cause` is one snake_case word (`no_key`, `read_only`, `missing_table`, …), `where` the address.
    `problems` are all that were found at once, this one first; () where it is the only one looked for.
    """

    status = 422
    code = "refused"

    def __init__(
        self,
        message: str,
        *,
        cause: str,
        where: str | None = None,
        fix: str | None = None,
        problems: tuple[Refused, ...] = (),
    ) -> None:
        super().__init__(message, where=where, fix=fix)
        self.cause = cause
        self.problems = problems


class MembersRefused(HabeasError):
    """Some requests of a cohort can't be answered as asked, found before the first write: by member, why."""

    status = 422
    code = "refused"

    def __init__(self, members: Mapping[int, Refused]) -> None:
        first = members[min(members)]
        super().__init__(first.message, where=first.where, fix=first.fix)
        self.members = members


class Incomplete(HabeasError):
    """An erasure stopped after its first write, or data was still there when verified. Retry repeats nothing done."""

    code = "incomplete"
    retryable = True


class StillWritten(Incomplete):
    """Somebody goes on writing what is erased: after three rounds it was still there, or there again."""

    code = "still_written"
    advice = "stop what writes it, then retry"


class Fenced(HabeasError):
    """This attempt's epoch is no longer the current one: another attempt owns the work. Stop at once."""

    code = "fenced"
