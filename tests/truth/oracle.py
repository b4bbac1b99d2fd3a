"""What is true of a company's rows, found by brute force over dumps; written from the design's text (§5, §6).

Imports nothing of habeas. Rows are `(table id, position)`; standings are 1 the subject's, 2 declared shared,
3 shared in fact, 4 context, 5 somebody else.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import phonenumbers

from truth.company import Column, Company, Table
from truth.documents import addresses, authors
from truth.kinds import TEXTS
from truth.stores import Dump

OWN, SHARED, SHARED_ROW, CONTEXT, PERSON = 1, 2, 3, 4, 5
RowId = tuple[str, int]
INTEGERS = ("int", "bigint", "smallint")


@dataclass(frozen=True)
class Link:
    """A followed reference, as data flows."""

    source: str
    source_columns: tuple[str, ...]
    target: str
    columns: tuple[str, ...]
    points: str  # to_source, to_target, neither
    ownership: str


@dataclass(frozen=True)
class Pointer:
    """Rows of `holder` point to rows of `target`, declared or by a foreign key."""

    holder: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


class Structure:
    """Links and pointers of a company for given identity kinds."""

    def __init__(self, company: Company, kinds: Iterable[str]) -> None:
        self.company = company
        self.kinds = frozenset(kinds)
        self.tables = {each.id: each for each in company.tables}
        self.searched = {each.id for each in company.tables if each.described and not each.excluded}
        self.hops = self._hops(self.kinds)
        self.links = list(dict.fromkeys(self._links()))
        self.pointers = list(dict.fromkeys(self._pointers()))
        self.reference_columns: dict[str, set[str]] = defaultdict(set)
        for ref in company.refs:
            if ref.declared or ref.fk:
                self.reference_columns[ref.holder].update(ref.columns)
                self.reference_columns[ref.target].update(ref.target_columns)

    def is_key(self, key: str, columns: Sequence[str]) -> bool:
        """Declared, or unique in the store."""
        table = self.tables[key]
        whole = table.key_kind != "none" and set(table.key) <= set(columns)
        return whole or any("." not in each and table.column(each).unique for each in columns)

    def points(self, ref: Any) -> str | None:
        """`holder` or `target`: the side whose rows point; None where no end is a key."""
        holder, target = self.is_key(ref.holder, ref.columns), self.is_key(ref.target, ref.target_columns)
        if holder != target:
            return "holder" if target else "target"
        if not holder:
            return None
        if ref.fk:
            return "holder"
        return "target" if ref.on_target else "holder"

    def _hops(self, kinds: frozenset[str]) -> dict[str, int]:
        near: dict[str, set[str]] = defaultdict(set)
        for ref in self.company.refs:
            if not ref.declared or not {ref.holder, ref.target} <= self.searched:
                continue
            if ref.flow in ("down", "open"):
                near[ref.target].add(ref.holder)
            if ref.flow in ("up", "open"):
                near[ref.holder].add(ref.target)
        hops = {key: 0 for key in self.searched if any(each.identity in kinds for each in self.tables[key].columns)}
        waiting = deque(hops)
        while waiting:
            here = waiting.popleft()
            for there in near[here]:
                if there not in hops:
                    hops[there] = hops[here] + 1
                    waiting.append(there)
        return hops

    def reached(self) -> set[str]:
        """Collections that the given kinds reach."""
        return set(self.hops)

    def reachable(self) -> set[str]:
        """Collections that some kind reaches."""
        kinds = {
            column.identity
            for table in self.company.tables
            if table.described
            for column in table.columns
            if column.identity
        }
        return set(self._hops(frozenset(kinds)))

    def _links(self) -> Iterable[Link]:
        for ref in self.company.refs:
            if not ref.declared or not {ref.holder, ref.target} <= self.searched:
                continue
            down = ref.flow == "down"
            if ref.flow == "open":
                if ref.holder not in self.hops:
                    continue
                order = {
                    each: (self.hops[each], self.company.address(self.tables[each]))
                    for each in (ref.holder, ref.target)
                }
                down = order[ref.target] < order[ref.holder]
            if (ref.target if down else ref.holder) not in self.hops:
                continue
            side = self.points(ref)
            if down:
                points = {"holder": "to_source", "target": "to_target", None: "neither"}[side]
                yield Link(ref.target, tuple(ref.target_columns), ref.holder, tuple(ref.columns), points, ref.ownership)
            else:
                points = {"holder": "to_target", "target": "to_source", None: "neither"}[side]
                yield Link(ref.holder, tuple(ref.columns), ref.target, tuple(ref.target_columns), points, ref.ownership)

    def _pointers(self) -> Iterable[Pointer]:
        for ref in self.company.refs:
            side = "holder" if ref.fk else self.points(ref) if ref.declared else None
            if side == "holder":
                yield Pointer(ref.holder, tuple(ref.columns), ref.target, tuple(ref.target_columns))
            elif side == "target":
                yield Pointer(ref.target, tuple(ref.target_columns), ref.holder, tuple(ref.columns))

    def is_far(self, pointer: Pointer) -> bool:
        """Whether it leads from one system to another."""
        return not self.company.is_near(self.tables[pointer.holder], self.tables[pointer.target])

    def carrying(self) -> list[Link]:
        """Links by which a row can be the subject's."""
        return [
            each
            for each in self.links
            if each.ownership == "owned" or (each.ownership == "auto" and not self.tables[each.target].people)
        ]

    def above(self) -> dict[str, set[str]]:
        """People collections nearest above a collection, on any way that can carry the subject's rows."""
        found: dict[str, set[str]] = defaultdict(set)
        changed = True
        while changed:
            changed = False
            for link in self.carrying():
                brings = {link.source} if self.tables[link.source].people else found[link.source]
                if not brings <= found[link.target]:
                    found[link.target] |= brings
                    changed = True
        return found


class World:
    """A dump with lookups by value."""

    def __init__(self, company: Company, dump: Dump) -> None:
        self.company = company
        self.dump = dump
        self.tables = {each.id: each for each in company.tables}
        self._index: dict[tuple[str, tuple[str, ...], bool], dict[tuple[Any, ...], list[int]]] = {}

    def values(self, row: RowId, columns: Sequence[str], as_text: bool) -> list[tuple[Any, ...]]:
        """A row's values: one tuple, none where one is NULL, several where they lie in a document."""
        stored = self.dump[row[0]][row[1]]
        if "." in columns[0]:
            found = [[each] for each in authors(stored[columns[0].partition(".")[0]])]
        else:
            found = [[stored[each] for each in columns]]
        return [
            tuple(str(each) if as_text else each for each in values)
            for values in found
            if not any(each is None for each in values)
        ]

    def pointed(self, row: RowId, columns: Sequence[str], table: str, target_columns: Sequence[str]) -> list[RowId]:
        """Rows of `table` whose `target_columns` equal the row's `columns`."""
        as_text = any(
            one != two and None not in (one, two)
            for one, two in (
                (self._family(row[0], one), self._family(table, two))
                for one, two in zip(columns, target_columns, strict=True)
            )
        )
        key = (table, tuple(target_columns), as_text)
        if key not in self._index:
            index: dict[tuple[Any, ...], list[int]] = defaultdict(list)
            for position in range(len(self.dump[table])):
                for here in dict.fromkeys(self.values((table, position), target_columns, as_text)):
                    index[here].append(position)
            self._index[key] = index
        wanted = dict.fromkeys(self.values(row, columns, as_text))
        found = (position for values in wanted for position in self._index[key].get(values, ()))
        return [(table, position) for position in dict.fromkeys(found)]

    def _family(self, table: str, column: str) -> str | None:
        if "." in column:
            return None  # what lies in a document is of the other end's type
        kind = self.tables[table].column(column).type
        return "integer" if kind in INTEGERS else "text" if kind in TEXTS else kind


def canonical(kind: str, value: str) -> str:
    """The comparable form of an identity."""
    if kind == "email":
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).strip().casefold())
    if kind != "phone_number":
        return value
    try:
        number = phonenumbers.parse(value.strip(), "US")
    except phonenumbers.NumberParseException:
        return f"opaque {value.strip()}"
    if not phonenumbers.is_possible_number(number):
        return f"opaque {value.strip()}"
    return f"{phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)} {number.extension or ''}"


def is_found(column: Column, value: Any, given: Any) -> bool:
    """Whether a stored value is the given identity."""
    if value is None:
        return False
    if column.document == "mails":
        return any(canonical("email", each) == canonical("email", str(given)) for each in addresses(value))
    if column.exact:
        return str(value) == str(given)
    return canonical(column.identity or "", str(value)) == canonical(column.identity or "", str(given))


def is_own_value(column: Column, value: Any, given: dict[str, Any]) -> bool:
    """Whether a value equals one of these identities: of the column's own kind, or, in a text that is said to hold
    none, an address or a whole number, which can't be mistaken for something else.
    """
    if column.identity:
        return column.identity in given and is_found(column, value, given[column.identity])
    if value is None or column.type not in TEXTS:
        return False
    return any(
        canonical(kind, value) == canonical(kind, str(given[kind])) and not canonical(kind, value).startswith("opaque ")
        for kind in ("email", "phone_number")
        if kind in given
    )


class Judgement:
    """Standings of all rows for each member of a cohort."""

    def __init__(
        self,
        structure: Structure,
        world: World,
        members: Sequence[dict[str, Any]],
        nobodys: frozenset[RowId] = frozenset(),
        *,
        together: bool,
    ) -> None:
        self.structure = structure
        self.world = world
        self.members = members
        self.nobodys = nobodys
        self.together = together
        self.own: list[set[RowId]] = [set() for _ in members]
        self._out: dict[str, list[Link]] = defaultdict(list)
        for link in structure.links:
            self._out[link.source].append(link)
        self._above = structure.above()
        self._grow()
        self.standing = [self._standings(member) for member in range(len(members))]

    def anybody(self) -> set[RowId]:
        """Rows that are some member's."""
        return set().union(*self.own) if self.own else set()

    def _is_own(self, member: int, row: RowId) -> bool:
        return any(row in each for each in self.own) if self.together else row in self.own[member]

    def _grow(self) -> None:
        deferred: list[set[RowId]] = [set() for _ in self.members]
        claimable = {
            link.target
            for link in self.structure.links
            if link.ownership == "shared" and not self.structure.tables[link.target].people
        }
        for member, given in enumerate(self.members):
            for row in self._seeds(given):
                if row[0] in claimable:
                    deferred[member].add(row)
                else:
                    self._add(member, row)
        while True:
            while any([self._step(member) for member in range(len(self.members))]):
                pass
            released = False
            for member, rows in enumerate(deferred):
                for row in rows - self._claimed(member) - self.own[member]:
                    self._add(member, row)
                    released = True
            if not released:
                return

    def _seeds(self, given: dict[str, Any]) -> Iterable[RowId]:
        for key in self.structure.hops:
            table = self.structure.tables[key]
            for column in table.columns:
                if column.identity in given:
                    for position, row in enumerate(self.world.dump[key]):
                        if is_found(column, row[column.name], given[column.identity]):
                            yield key, position

    def _claimed(self, member: int) -> set[RowId]:
        return {
            target
            for row in self.own[member]
            for link in self._out[row[0]]
            if link.ownership == "shared"
            for target in self._targets(row, link)
        }

    def _targets(self, row: RowId, link: Link) -> list[RowId]:
        return self.world.pointed(row, link.source_columns, link.target, link.columns)

    def _add(self, member: int, row: RowId) -> bool:
        fresh = row not in self.own[member]
        self.own[member].add(row)
        return fresh

    def _step(self, member: int) -> bool:
        changed = False
        for row in list(self.own[member]):
            for link in self._out[row[0]]:
                if link.ownership not in ("auto", "owned") or (
                    link.ownership == "auto" and self.structure.tables[link.target].people
                ):
                    continue
                for target in self._targets(row, link):
                    if link.ownership == "owned" or self._held(member, target, link) is None:
                        changed |= self._add(member, target)
        return changed

    def _held(self, member: int, row: RowId, link: Link) -> int | None:
        """What the row is instead of the subject's, None if nothing holds it back."""
        people = self.structure.tables[link.source].people
        above = {link.source} if people else self._above[link.source]
        shared = self.structure.tables[link.source].people or link.points == "to_target"
        rivals = [
            SHARED_ROW if shared else PERSON
            for pointer in self.structure.pointers
            if pointer.holder == row[0] and pointer.target in above
            # A list may point to others' rows by the very reference that was followed.
            if not self._is_link(pointer, link) or "." in pointer.columns[0]
            if self._rivals(member, row, pointer)
        ]
        pointing = [
            SHARED_ROW
            for pointer in self.structure.pointers
            if link.points == "to_target" and pointer.target == row[0] and self._points_too(member, row, pointer, link)
        ]
        found = [*rivals, *pointing]
        return max(found, default=None)

    def _rivals(self, member: int, row: RowId, pointer: Pointer) -> bool:
        """Whether a row points to somebody else. In another store, whoever isn't known to be the subject is."""
        found = self.world.pointed(row, pointer.columns, pointer.target, pointer.target_columns)
        if not self.structure.is_far(pointer):
            return self._others(member, row, found)
        own = [each for each in found if self._is_own(member, each)]
        known = {value for each in own for value in self.world.values(each, pointer.target_columns, True)}
        return not known.issuperset(self.world.values(row, pointer.columns, True))

    def _others(self, member: int, row: RowId, rows: Iterable[RowId]) -> bool:
        """Whether one of the rows isn't the subject's; the row itself doesn't count."""
        return any(each != row and not self._is_own(member, each) and each not in self.nobodys for each in rows)

    def _points_too(self, member: int, row: RowId, pointer: Pointer, link: Link) -> bool:
        """Whether somebody else's row points to the row. Another store can't be asked whose the rows there are."""
        if self.structure.is_far(pointer) and not self._is_link_from_holder(pointer, link):
            return True
        found = self.world.pointed(row, pointer.target_columns, pointer.holder, pointer.columns)
        return self._others(member, row, found)

    def _is_link_from_holder(self, pointer: Pointer, link: Link) -> bool:
        pairs = set(zip(pointer.columns, pointer.target_columns, strict=True))
        return pointer.holder == link.source and pairs == set(zip(link.source_columns, link.columns, strict=True))

    def _is_link(self, pointer: Pointer, link: Link) -> bool:
        """Whether the pointer is the very reference that is followed, from its holder."""
        pairs = set(zip(pointer.columns, pointer.target_columns, strict=True))
        return pointer.target == link.source and pairs == set(zip(link.columns, link.source_columns, strict=True))

    def _standings(self, member: int) -> dict[RowId, int]:
        standing: dict[RowId, int] = dict.fromkeys(self.own[member], OWN)
        waiting: deque[RowId] = deque()

        def weaken(row: RowId, value: int) -> None:
            if value < standing.get(row, 9):
                standing[row] = value
                if value in (SHARED, SHARED_ROW, CONTEXT):
                    waiting.append(row)

        for row in self.own[member]:
            for link, target in self._followed(row):
                weaken(target, self._lands(member, target, link))
        while waiting:
            for link, target in self._followed(waiting.popleft()):
                if link.points == "to_target":
                    weaken(target, PERSON if self.structure.tables[target[0]].people else CONTEXT)
        return standing

    def _followed(self, row: RowId) -> Iterator[tuple[Link, RowId]]:
        for link in self._out[row[0]]:
            for target in self._targets(row, link):
                yield link, target

    def _lands(self, member: int, row: RowId, link: Link) -> int:
        if link.ownership == "owned":
            return OWN
        if self.structure.tables[link.target].people:
            return PERSON
        if link.ownership != "auto":
            return SHARED if link.ownership == "shared" else CONTEXT
        return self._held(member, row, link) or OWN


def is_within(category: str | None, targets: Iterable[str]) -> bool:
    """Whether a category is one of the targets or below one."""
    return category is not None and any(category == each or category.startswith(f"{each}.") for each in targets)


def is_identifying(structure: Structure, table: Table, column: Column) -> bool:
    """Whether the field is withheld from rows that aren't the subject's own."""
    if column.name in structure.reference_columns[table.id] or (column.name in table.key and table.key_kind != "none"):
        return False
    kinds = ("user.name", "user.contact", "user.government_id", "user.unique_id", "user.account")
    return column.identity is not None or is_within(column.category, kinds)
