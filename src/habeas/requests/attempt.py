"""One attempt at a cohort: what it holds, how it writes to our database, and how it is fenced.

Taking an attempt takes the cohort's next epoch; every own write says it holds that epoch. Progress is kept
in the cohort's row, so that whoever takes over goes on from the last finished stage. Nothing of a
source is touched here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from habeas.connectors.base import Connector
from habeas.core.address import CollectionAddress
from habeas.core.errors import Fenced, HabeasError
from habeas.durable.boundary import reach
from habeas.execute.access import AccessResult
from habeas.execute.context import CohortContext, LogEntry
from habeas.execute.counts import from_plain, plain
from habeas.execute.erasure import ErasureResult
from habeas.execute.members import Member, Roster
from habeas.plan.model import Plan, Step
from habeas.requests.cohort import Claim
from habeas.requests.installation import Installation
from habeas.requests.model import Stage, Status
from habeas.requests.places import Place, Places
from habeas.requests.questions import CohortAnswers, Confirmation
from habeas.requests.sealing import open_identities, open_package_key, open_seed, open_spool_key
from habeas.spool.frames import Frame, Spool
from habeas.store import cohorts, ledger, logs
from habeas.store import requests as store
from habeas.store.erased import ErasedRows

DIGEST_PURPOSE = "row-digest"
FRESH_SECONDS = 0.1  # for how long a guarded write counts as a look at the epoch


class MembersLeft(HabeasError):
    """Requests were canceled while the stage ran, so that it is to be run again without them."""

    code = "members_left"


class Progress(msgspec.Struct):
    """What finished stages left: counts and places of packages, never values. Kept in the cohort's row."""

    access: AccessResult | None = None
    freeze_epoch: int | None = None
    erasure: ErasureResult | None = None  # after the freeze, then final after verification
    answered: frozenset[int] = frozenset()  # members of whom people found something
    wrote: bool = False  # whether masking may have begun, as far as whoever takes over can know
    verified: bool = False
    frames: dict[str, tuple[int, str]] = {}  # durable frames by name: size and digest


def erased_rows(installation: Installation) -> ErasedRows:
    """What the ledger knows of rows that hold nothing back."""
    vault = installation.vault
    return ErasedRows(installation.database, vault.key(ledger.KEY_PURPOSE), vault.key(DIGEST_PURPOSE))


class Attempt:
    """The running of one cohort under one epoch. Not shared between threads."""

    def __init__(
        self,
        installation: Installation,
        row: Mapping[str, Any],
        executor_id: str,
        places: Places,
        claim: Claim | None = None,
    ) -> None:
        self.installation = installation
        self._places = places
        self._stamp = None if claim is None else claim.stamp
        self.cohort_id: str = row["id"]
        self.epoch: int = row["epoch"]
        self.executor_id = executor_id
        self.plan_digest: str = row["plan_digest"]
        self.started: datetime = row["created_at"]
        self._fenced_at = -FRESH_SECONDS
        self.answers: CohortAnswers | None = None  # once somebody is asked
        self.progress = msgspec.convert(row.get("progress") or {}, Progress, strict=False, dec_hook=from_plain)
        self.wrote = self.progress.wrote  # whether a store may have been written to, by this attempt or one before
        self.policy_key = ""
        self.stages: set[Stage] = set()  # at which the members' requests stand
        self.most_replans = 0  # of any member
        data_key = open_spool_key(installation.vault, self.cohort_id, row["sealed_data_key"])
        self.spool = Spool(installation.medium, self.cohort_id, self.epoch, data_key)
        with installation.database.read() as connection:
            self.plan: Plan = installation.planner.stored(connection, self.plan_digest)
            handed = None if claim is None else claim.members
            rows = store.members_of(connection, self.cohort_id) if handed is None else handed
            members = Roster(self._members(rows), self.spool)
        self.context = CohortContext(
            cohort_id=self.cohort_id,
            epoch=self.epoch,
            plan=_unpinned(self.plan) if self.progress.wrote else self.plan,
            members=members,
            connector=self._connector,
            spool=self.spool,
            frames=_Book(self),
            fence=self.fence,
            wrote=self._note_write,
            told=self._told,
            log=self.log,
            digest_key=installation.vault.key(DIGEST_PURPOSE),
            region=installation.settings.phone_region,
            erased=erased_rows(installation),
        )

    @property
    def members(self) -> Roster:
        """The members that haven't left."""
        return self.context.members

    def fence(self) -> None:
        """Raises Fenced unless this epoch still owns the cohort. Reads our database each time it is asked, but for
        once just after a write of ours that the epoch guarded.
        """
        just_now = time.monotonic() - self._fenced_at < FRESH_SECONDS
        self._fenced_at = -FRESH_SECONDS
        if just_now:
            return
        with self.installation.database.read() as connection:
            present = cohorts.present_epoch(connection, self.cohort_id)
        if present != self.epoch:
            raise Fenced("another attempt owns the cohort", where=self.cohort_id)

    def advance(self, stage: Stage) -> None:
        """Record the progress and the stage that comes now.

        Raises Fenced where the epoch is lost, MembersLeft where what was frozen is also of requests that were
        canceled meanwhile; nothing is recorded then.
        """
        reach("stage.before")
        # Once masking begins nobody can leave; whoever did before is not to be masked.
        if not self._save({"stage": stage}, len(self.members) if stage is Stage.MASK else None):
            self.fence()
            raise MembersLeft("members were canceled meanwhile", where=self.cohort_id)
        self._fenced_at = time.monotonic()
        reach("stage.after")

    def save_frames(self) -> None:
        """Record the durable frames as they are now; raises Fenced where the epoch is lost."""
        if not self._save({}):
            raise Fenced("another attempt owns the cohort", where=self.cohort_id)

    def _save(self, values: Mapping[str, Any], size: int | None = None) -> bool:
        saved = {**values, "progress": msgspec.to_builtins(self.progress, str_keys=True, enc_hook=plain)}
        now = self.installation.clock.now()
        with self.installation.database.begin() as connection:
            return cohorts.advance(connection, self.cohort_id, self.epoch, saved, now, size=size)

    def let_go(self) -> None:
        """Go on without the members that were canceled meanwhile; raises Fenced as `fence` does. One statement."""
        with self.installation.database.read() as connection:
            epoch, size = cohorts.present_size(connection, self.cohort_id, Status.IN_PROCESSING)
            if epoch != self.epoch:
                raise Fenced("another attempt owns the cohort", where=self.cohort_id)
            if size < len(self.members):
                present = cohorts.present_members(connection, self.cohort_id, Status.IN_PROCESSING)
                self.context = replace(self.context, members=self.members.only(present, len(present)))

    def open_places(self) -> Sequence[Place]:
        """The places that the plan's packages go to, in order. Raises NotFound where one was deleted."""
        return self._places.of(self.plan, self.plan_digest, self._stamp)

    def log(self, entries: Sequence[LogEntry]) -> None:
        """Write log entries in one statement, visible at once. Raises Fenced where the epoch is lost."""
        rows = self.log_rows(entries)
        with self.installation.database.begin() as connection:
            if self.epoch > 1:
                logs.forget_complete(connection, self.cohort_id, rows)
            if not logs.append(connection, self.cohort_id, self.epoch, rows):
                raise Fenced("another attempt owns the cohort", where=self.cohort_id)

    def log_rows(self, entries: Sequence[LogEntry]) -> list[dict[str, Any]]:
        """Entries as rows, for a transaction of the caller's."""
        now = self.installation.clock.now()
        return [self._log_row(entry, now) for entry in entries]

    def confirmations(self, member: int) -> list[Confirmation]:
        """Who confirmed erasures of a member that habeas can't look at."""
        return [] if self.answers is None else self.answers.confirmations(member)

    def can_look_again(self, step: Step) -> bool:
        """Whether the step's rows can be looked at without asking somebody."""
        return self._connector(step.connection).capabilities.holds_rows

    def _note_write(self) -> None:
        self.wrote = True

    def _connector(self, key: str) -> Connector:
        connector = self.installation.sources.connector(key)
        if connector.capabilities.holds_rows:
            return connector
        if self.answers is None:
            members = {member.index: member.request_id for member in self.context.members}
            self.answers = CohortAnswers(self.installation, members, may_ask=lambda: self.progress.freeze_epoch is None)
        return connector.with_answers(self.answers)

    def _told(self, step: Step) -> str:
        """What the log says of an erasure: that it was looked at, or whose word there is."""
        if self.can_look_again(step):
            return "success"
        words = (each for member in self.context.members for each in self.confirmations(member.index))
        told = ", ".join(f"{each.rows} by {each.by} at {each.at}" for each in words if each.address == step.address)
        return f"confirmed, not verified by habeas: {told}" if told else "success"

    def _members(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Member]:
        vault = self.installation.vault
        for row in rows:
            if row["status"] != Status.IN_PROCESSING:
                continue
            request_id = row["id"]
            self.policy_key = row["policy_key"]
            self.stages.add(Stage(row["stage"]))
            self.most_replans = max(self.most_replans, row["replans"] or 0)
            yield Member(
                index=row["member"],
                request_id=request_id,
                identities=open_identities(vault, request_id, row["sealed_identities"]),
                seed=open_seed(vault, request_id, row["sealed_seed"]),
                encryption_key=open_package_key(vault, request_id, row["sealed_encryption_key"]),
                attempt=row["attempt"],
                replans=row["replans"] or 0,
                earlier=tuple(row["earlier"] or ()),
                asked=bool(row["asked"]),
                instructs=tuple(row["instructs"] or ()),
            )

    def _log_row(self, entry: LogEntry, now: datetime) -> dict[str, Any]:
        address = CollectionAddress.parse(entry.step.address)
        return {
            "created_at": now,
            "updated_at": now,
            "cohort_id": self.cohort_id,
            "member": entry.member,
            "dataset_name": address.dataset,
            "collection_name": address.collection,
            "action_type": entry.action,
            "status": entry.status,
            "fields_affected": _fields_affected(entry) if entry.status == "complete" else [],
            "message": entry.message,
            "counts": dict(entry.counts) or None,
        }


def _unpinned(plan: Plan) -> Plan:
    """The plan of an erasure that has begun to write: it goes on although the schema has changed since, as when what
    hindered it was removed. Every write goes by frozen keys and is verified.
    """
    return msgspec.structs.replace(
        plan, steps=tuple(msgspec.structs.replace(each, fingerprint="") for each in plan.steps)
    )


class _Book:
    """The cohort's durable frames, kept with its progress: saved with the stage, at once where writing has begun."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def record(self, written: Sequence[Frame]) -> None:
        """Note frames that are on disk."""
        progress = self._attempt.progress
        progress.frames.update((frame.name, (frame.size, frame.digest)) for frame in written)
        if progress.wrote:
            self._attempt.save_frames()

    def list(self, prefix: str) -> list[Frame]:
        """Frames whose name starts so, in order of name."""
        known = self._attempt.progress.frames
        return [Frame(name, *known[name]) for name in sorted(known) if name.startswith(prefix)]

    def forget(self, prefix: str) -> None:
        """Leave out frames whose name starts so; nothing may have been written yet."""
        for frame in self.list(prefix):
            del self._attempt.progress.frames[frame.name]
            self._attempt.spool.drop(frame)


def begin_attempt(
    installation: Installation, cohort_id: str, executor_id: str, places: Places, claim: Claim | None
) -> Attempt | None:
    """Take the cohort's next epoch; None where the cohort has ended. A claim brings its epoch."""
    if claim is not None:
        reach("attempt.taken")
        return Attempt(installation, claim.cohort, executor_id, places, claim)
    with installation.database.begin() as connection:
        row = cohorts.take_epoch(connection, cohort_id, executor_id, installation.clock.now())
    reach("attempt.taken")
    return None if row is None else Attempt(installation, row, executor_id, places)


def _fields_affected(entry: LogEntry) -> list[dict[str, Any]]:
    step = entry.step
    fields = (
        [(output.path, output.categories) for output in step.output]
        if entry.action == "access"
        else [(mask.field, mask.categories) for mask in step.field_masks]
    )
    return [
        {"path": f"{step.address}:{path}", "field_name": path.rpartition(".")[2], "data_categories": list(categories)}
        for path, categories in fields
    ]
