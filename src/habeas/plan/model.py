"""The plan: a traversal compiled with a policy, frozen. Data only, with a JSON round trip and a digest.

`explain` and `execute` read this very value, so that a preview is the execution, unexecuted. It holds
identity kinds, never values, and no counts. Steps are in traversal order, sources before what they
feed, except inside a loop; positions are the indices used everywhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import IntEnum
from functools import cached_property
from typing import Any, Literal

import msgspec

from habeas.core.expression import Expression
from habeas.core.schema import ColumnType, TableName
from habeas.dataset.model import IdentityMatch, Ownership

OnReferenced = Literal["mask", "cascade", "null", "refuse"]
Points = Literal["to_source", "to_target", "neither"]


class Standing(IntEnum):
    """Whose a row is, strongest first: the smallest number that any way of reaching it gives.

    OWN: the subject's. SHARED: declared shared. SHARED_ROW: shared in fact. CONTEXT: declared context,
    or pointed to by a row that isn't the subject's alone. PERSON: somebody else.
    """

    OWN = 1
    SHARED = 2
    SHARED_ROW = 3
    CONTEXT = 4
    PERSON = 5


class Inside(msgspec.Struct, frozen=True):
    """Where values lie inside a column: at `path`, the names to descend by. Arrays on the way are gone through.

    `whole`: arrays on the way show all their elements, not only those by which a row was found.
    """

    column: str
    path: tuple[str, ...] = ()
    whole: bool = False


class Column(msgspec.Struct, frozen=True):
    """A column that the plan reads, compares or writes; with `inside`, values within one, compared only.

    The latter is named by its dotted path, or where the values are the column's own elements, `column[]`.
    """

    name: str
    type: ColumnType
    nullable: bool = True
    identifying: bool = False  # withheld from rows that aren't the subject's own
    inside: Inside | None = None


def base_of(name: str) -> str:
    """The real column of a column's name."""
    return name.partition(".")[0].removesuffix("[]")


class Seed(msgspec.Struct, frozen=True):
    """Rows of the step are found where `column` matches a given identity of `kind`."""

    column: str
    kind: str
    match: IdentityMatch = "canonical"
    region: str = "US"
    indexed: bool = False  # whether an index serves the lookup
    declared: bool = True  # False: the field isn't said to hold the kind, so only what can't be mistaken for it counts


class Rival(msgspec.Struct, frozen=True):
    """A direct reference of the landing row to people, other than the one it was reached by.

    If `columns` of the landing row point to an existing row of `people` (a step) that isn't the
    subject's, the landing row has `standing` instead of OWN.
    """

    columns: tuple[str, ...]
    people: int
    people_columns: tuple[str, ...]
    standing: Standing


class Link(msgspec.Struct, frozen=True):
    """A followed reference: rows of the step whose `columns` equal `source_columns` of a source row.

    Values match as a tuple; NULL never matches. `points` says which side holds the reference; `compare`
    is `text` where the ends' type families differ. `id` is unique in the plan.
    """

    id: int
    source: int
    source_columns: tuple[str, ...]
    columns: tuple[str, ...]
    points: Points
    ownership: Ownership = "auto"
    compare: Literal["native", "text"] = "native"
    rivals: tuple[Rival, ...] = ()
    indexed: bool = True


class Pointing(msgspec.Struct, frozen=True):
    """A table whose rows point to rows of the step: declared or a live foreign key. A `far` one lies in another
    store, where it can't be asked whose its rows are: it holds back all that isn't reached by it alone.

    A row of the step reached because the subject's row points to it is the subject's only if every
    pointing row is the subject's. `step` is that table's step, None where no step holds it (its rows
    are then nobody the plan knows, and hold the row back).
    """

    table: TableName
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    step: int | None = None
    typed: tuple[Column, ...] = ()  # those of `columns` that lie inside a column or are of another type
    far: bool = False


class Output(msgspec.Struct, frozen=True):
    """A field that access rules take. `path` is dotted; its first part is the column."""

    path: str
    rules: tuple[str, ...]
    categories: tuple[str, ...] = ()
    identifying: bool = False
    own: tuple[Seed, ...] = ()  # of an identifying one: how the subject's own value is known in a shared row


class Mask(msgspec.Struct, frozen=True):
    """How one field of the step is made unreadable.

    `form`: `constant` (the expression reads no column), `pushed` (an expression that reads the
    column), `computed` (expression None: the strategy's Python function). `secret_prefix` is the name
    under which the strategy's secrets are found. NULL stays NULL. `substituted` names why the policy's
    strategy was replaced by the type's substitute, None if it wasn't.
    """

    field: str
    rule: str
    strategy: str
    form: Literal["constant", "pushed", "computed"]
    expression: Expression | None = None
    configuration: Mapping[str, Any] = {}
    categories: tuple[str, ...] = ()
    length: int | None = None
    substituted: str | None = None
    per_row: bool = False  # the value is drawn per row key and needs a key
    parts: tuple[Mask, ...] = ()  # of a document: what is masked in it, by dotted path; else the column is masked
    unique: bool = False  # the column takes part in a unique key: values drawn per row must differ from all others


class Kept(msgspec.Struct, frozen=True):
    """A targeted field that stays by a declared rule, such as `key_kept`."""

    field: str
    reason: str


class Hold(msgspec.Struct, frozen=True):
    """Rows of a table of the same store that may point to rows which are to be deleted: a live foreign key, or a
    reference that a dataset declares. `columns` are the table's own, with their types; `on_delete` is the foreign
    key's action, "" for a reference alone.
    """

    table: TableName
    columns: tuple[Column, ...]
    target_columns: tuple[str, ...]
    on_delete: str = ""

    @property
    def forbids(self) -> bool:
        """Whether the store refuses to delete a row while another one points to it, or writes that one: then it would
        no longer be the frozen row.
        """
        return self.on_delete in ("NO ACTION", "RESTRICT", "SET DEFAULT", "SET NULL")


class Carry(msgspec.Struct, frozen=True):
    """Rows of a table of the same store that refer to the step's by its key, without a foreign key that carries a new
    one on: their `columns` get it together with the rows whose `target_columns` they refer to.
    """

    table: TableName
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]


class FarHold(msgspec.Struct, frozen=True):
    """Rows of another store, or values inside a column, that may refer to rows which are to be deleted. Whether they do
    is asked of `holder`, a step of no plan, by whose `columns` rows refer to the `target_columns` of the step.
    """

    holder: Step
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    compare: Literal["native", "text"] = "native"


class Guard(msgspec.Struct, frozen=True):
    """A test that a write repeats: a row is kept if a row of `table` that isn't the subject's points to it, or, for
    people, is pointed to by it. The subject's rows are those of `step`; None: no row of the table is known to be hers.
    """

    table: TableName
    columns: tuple[str, ...]
    target_columns: tuple[str, ...]
    step: int | None = None


class Step(msgspec.Struct, frozen=True):
    """One collection in the plan: how its rows are found, what is read and what is written."""

    index: int
    address: str  # dataset:collection
    connection: str
    table: TableName
    fingerprint: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()  # () where no usable key exists; then the step can be written only by `alike`
    view: bool = False  # the store has no identity of its own for the rows of a view
    people: bool = False
    seeds: tuple[Seed, ...] = ()
    links: tuple[Link, ...] = ()
    pointings: tuple[Pointing, ...] = ()
    output: tuple[Output, ...] = ()
    masks: tuple[Mask, ...] = ()
    kept: tuple[Kept, ...] = ()
    delete: bool = False
    write_rank: int = 0  # lower is written first; steps that hold identity or reference fields come last
    checks: tuple[str, ...] = ()  # the table's CHECKs that name a masked column, as the store spells them
    holds: tuple[Hold, ...] = ()  # of a step that deletes: who may hold its rows
    far_holds: tuple[FarHold, ...] = ()  # the same, where it can't be asked together with the step's own rows
    on_referenced: OnReferenced = "mask"  # what becomes of a row to be deleted that another row holds
    triggered: bool = False  # a trigger runs at a delete, and nobody can tell what it touches
    unmaskable: tuple[str, ...] = ()  # of a step that deletes: targeted fields that a held row couldn't be masked in
    untie: tuple[str, ...] = ()  # foreign key columns set to NULL before rows are deleted, where keys form a cycle
    together: int | None = None  # steps of one number are deleted in one transaction with constraints deferred
    carries: tuple[Carry, ...] = ()  # of a step that rekeys: who follows its keys
    steady: tuple[str, ...] = ()  # columns that the store would change with every update: written as they are
    guards: tuple[Guard, ...] = ()  # what a write asks again of each row
    # Of a table without a key that is written: the columns by which its rows are found. Rows alike in these are one.
    alike: tuple[str, ...] = ()
    because: Literal["", "cascade", "null"] = ""  # frozen too only since what its rows point to is deleted
    # Of that step the rows that are declared shared, where the mask's field holds a value of the subject's: as
    # `seeds` tell. Nothing else of them is written, and only while they hold it.
    own_of: int | None = None
    witness: bool = False  # whether ownership tests may ask whose its rows are, so that the ledger must know them again

    @property
    def writes(self) -> bool:
        """Whether an erasure writes rows of this step."""
        return bool(self.masks) or self.delete

    @property
    def origin(self) -> int:
        """The step that finds the rows."""
        return self.index if self.own_of is None else self.own_of

    def bare(self, index: int) -> Step:
        """A step over the same rows of the same table, which finds, follows and writes nothing."""
        return Step(
            index=index,
            address=self.address,
            connection=self.connection,
            table=self.table,
            fingerprint=self.fingerprint,
            columns=self.columns,
            key=self.key,
            alike=self.alike,
        )

    @property
    def place(self) -> str:
        """The collection's address, told apart where several steps write it."""
        if self.own_of is not None:
            return f"{self.address}#own:{self.masks[0].field}"
        return f"{self.address}#{self.because}" if self.because else self.address

    @property
    def rekeys(self) -> bool:
        """Whether rows get another key when they are masked."""
        return not self.delete and any(mask.field in self.key for mask in self.masks)

    @property
    def strays(self) -> bool:
        """Whether rows are no longer found as they were once they are written."""
        return self.delete or any(mask.field in self.alike for mask in self.masks)

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns that the table has."""
        return tuple(column for column in self.columns if column.inside is None)

    @property
    def entries(self) -> tuple[Column, ...]:
        """Values inside columns by which rows are found: their arrays show only what led to the row."""
        named = {seed.column for seed in self.seeds if self.own_of is None}.union(
            *(link.columns for link in self.links)
        )
        return tuple(column for column in self.columns if column.inside is not None and column.name in named)

    @property
    def field_masks(self) -> tuple[Mask, ...]:
        """Masks by field: a document's parts in its place."""
        return tuple(part for mask in self.masks for part in (mask.parts or (mask,)))

    def column(self, name: str) -> Column:
        """The step's column of that name; KeyError if the plan doesn't use it."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


class Segment(msgspec.Struct, frozen=True):
    """Steps of one connection that run as one, in one snapshot. Segments of one `loop` feed each other
    and run in turn until none adds a row; None runs once.
    """

    connection: str
    steps: tuple[int, ...]
    loop: int | None = None


class RuleOutput(msgspec.Struct, frozen=True):
    """An access rule and the destination of its package."""

    rule: str
    storage: str


class NotSearched(msgspec.Struct, frozen=True):
    """A collection that is left out, and why: `unreached`, `identity_absent`, `disabled`, `excluded`, or
    `row_security`: only in part. `erased`:
    an erasure targets it.
    """

    address: str
    reason: str
    detail: str = ""
    erased: bool = False

    def shown(self) -> dict[str, str]:
        """As items and packages tell it."""
        return {"address": self.address, "reason": self.reason, "detail": self.detail}


class Caution(msgspec.Struct, frozen=True):
    """Something a person should know before execution, such as a lookup that no index serves."""

    address: str
    code: str
    message: str
    fix: str = ""


class Plan(msgspec.Struct, frozen=True, dict=True):
    """A traversal compiled with a policy. Same input, same bytes, same digest."""

    policy: str
    policy_version: str
    catalog_version: str
    kinds: tuple[str, ...]
    steps: tuple[Step, ...]
    segments: tuple[Segment, ...]
    outputs: tuple[RuleOutput, ...] = ()
    not_searched: tuple[NotSearched, ...] = ()
    warnings: tuple[Caution, ...] = ()
    erases: bool = False
    partial_identities: Literal["ask", "accept"] = "ask"
    absent_kinds: tuple[str, ...] = ()  # that searched collections know but weren't given
    version: int = 1

    @property
    def accesses(self) -> bool:
        """Whether a package is written."""
        return bool(self.outputs)

    def told_not_searched(self) -> list[dict[str, str]]:
        """What an item tells of collections that were left out."""
        return [each.shown() for each in self.not_searched]

    def to_json(self) -> bytes:
        """The canonical bytes of the plan: keys sorted, no spaces."""
        return _ENCODER.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> Plan:
        """Read what `to_json` wrote; raises msgspec.ValidationError for anything else."""
        return _DECODER.decode(data)

    def digest(self) -> str:
        """Hex SHA-256 of the canonical bytes; structure, versions and fingerprints, no values. Made once."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()

    @cached_property
    def alone(self) -> Plan:
        """The plan as an access judges by it: each member as if nobody else were in the cohort. Made once."""
        return msgspec.structs.replace(self, erases=False)

    def exports(self, segment: Segment) -> tuple[Link, ...]:
        """Links from a step of this segment to a step of another: their values leave the store."""
        inside = set(segment.steps)
        return tuple(
            link for step in self.steps if step.index not in inside for link in step.links if link.source in inside
        )

    def imports(self, segment: Segment) -> tuple[Link, ...]:
        """Links into this segment's steps from a step of another."""
        inside = set(segment.steps)
        return tuple(link for index in segment.steps for link in self.steps[index].links if link.source not in inside)

    def asked(self, segment: Segment) -> tuple[tuple[int, tuple[str, ...]], ...]:
        """Steps of other segments whose rows the ownership tests of this one ask about, with the columns that name
        them here: the key within one connection, else what is pointed to.
        """
        asked: dict[tuple[int, tuple[str, ...]], None] = {}
        judged = [self.steps[index] for index in segment.steps if not self.steps[index].people]
        for other, columns in (each for step in judged for link in step.links for each in _witnesses(step, link)):
            same = self.steps[other].connection == segment.connection
            asked[other, self.steps[other].key if same else columns] = None
        return tuple(each for each in asked if each[0] not in segment.steps and each[1] and self._are_plain(*each))

    def _are_plain(self, index: int, columns: tuple[str, ...]) -> bool:
        """Whether all are columns of the table, and not values inside one."""
        return all(self.steps[index].column(name).inside is None for name in columns)


def _witnesses(step: Step, link: Link) -> list[tuple[int, tuple[str, ...]]]:
    """Steps whose rows can hold back what the link reaches, with the columns by which rivals name them."""
    found = [(each.people, each.people_columns) for each in link.rivals]
    if link.ownership == "auto" and link.points == "to_target":
        found += [(each.step, ()) for each in step.pointings if each.step is not None and not each.far]
    return found


_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(Plan)
