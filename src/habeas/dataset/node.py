"""A mapping of a document while it is read: typed look-ups that note every problem with its place and go on.

Look-ups never raise; after the reading, `Findings.problems` says whether the result counts. Null is the
same as absent. Knows nothing of what the keys mean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from habeas.dataset.problem import Loc, Problem, nearest
from habeas.dataset.text import Document

_FLAGS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
_NEAR_MISS = 0.8  # above: a slip of the pen; below: a key that isn't ours


@dataclass
class Findings:
    """All problems found in one document so far, in order of finding; `own` are the data categories that it may name
    beside those of the taxonomy.
    """

    document: Document
    own: Collection[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)

    def add(self, problem: Problem, *, at_key: bool = False) -> None:
        """Note the problem with the place of its `loc`: the value's, or the key's before it."""
        place = self.document.place(problem.loc)
        line = column = None
        if place:
            line, column = (place.key_line, place.key_column) if at_key else (place.line, place.column)
        self.problems.append(
            replace_place(problem, line=line, column=column, source=self.document.name),
        )

    @property
    def errors(self) -> list[Problem]:
        """The problems that aren't mere warnings."""
        return [problem for problem in self.problems if problem.severity == "error"]


def replace_place(problem: Problem, *, line: int | None, column: int | None, source: str) -> Problem:
    """The same problem at another place of a text."""
    return msgspec.structs.replace(problem, line=line, column=column, source=source)


@dataclass(frozen=True)
class Node:
    """One mapping, or several that count as one (`fides_meta` beside `fidesops_meta`).

    `address` names the thing (`shop:orders`), `trail` the way below it (`fides_meta.references[0]`).
    """

    parts: tuple[tuple[Mapping[str, Any], Loc], ...]
    findings: Findings
    address: str
    trail: str = ""

    def named(self, address: str) -> Node:
        """The same mapping, now known by its address."""
        return replace(self, address=address, trail="")

    def keys(self) -> Iterator[str]:
        """Every key, in the document's order."""
        for mapping, _ in self.parts:
            yield from (str(key) for key in mapping)

    def find(self, key: str) -> tuple[Any, Loc]:
        """The value, None if absent or null, and its loc."""
        for mapping, loc in self.parts:
            if mapping.get(key) is not None:
                return mapping[key], (*loc, key)
        return None, (*self.parts[0][1], key)

    def note(
        self,
        message: str,
        key: str | None = None,
        *,
        index: int | None = None,
        fix: str | None = None,
        severity: Literal["error", "warning"] = "error",
        at_key: bool = False,
    ) -> None:
        """Note a problem of the mapping itself, of a key, or of one element of a list."""
        loc: Loc = self.parts[0][1] if key is None else self.find(key)[1]
        if key is not None and at_key:
            loc = next(((*each, key) for mapping, each in self.parts if key in mapping), loc)
        path = self._path(key, index)
        if index is not None:
            loc = (*loc, index)
        problem = Problem(message=message, severity=severity, path=path, fix=fix, loc=loc)
        self.findings.add(problem, at_key=at_key)

    def _path(self, key: str | None, index: int | None) -> str:
        trail = ".".join(part for part in (self.trail, key or "") if part)
        trail = trail if index is None else f"{trail}[{index}]"
        return f"{self.address} {trail}" if trail and self.address else trail or self.address

    def text(self, key: str, *, required: bool = False, free: bool = False) -> str | None:
        """Text. `free` text (a description) may look like a number; a name must be written as text."""
        value, _ = self.find(key)
        if value is None or value == "":
            if required:
                self.note(f"{key} is missing", fix=f"give a {key}")
            return None
        if isinstance(value, str):
            return value
        if free and isinstance(value, int | float):
            return str(value)
        fix = "put it in quotes" if isinstance(value, bool | int | float) else None
        self.note(f"{key} must be text, not {_kind(value)}", key, fix=fix)
        return None

    def flag(self, key: str) -> bool | None:
        """True, false, or one of YAML 1.1's words for them."""
        value, _ = self.find(key)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and value.casefold() in _FLAGS:
            return _FLAGS[value.casefold()]
        self.note(f"{key} must be true or false, not {_kind(value)}", key, fix="write true or false")
        return None

    def positive(self, key: str) -> int | None:
        """A whole number above zero."""
        value, _ = self.find(key)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        shown = value if isinstance(value, int | float) else _kind(value)
        self.note(f"{key} must be a whole number above 0, not {shown}", key, fix="give the column's length")
        return None

    def choice(self, key: str, options: Sequence[str]) -> str | None:
        """One of the options."""
        value = self.text(key)
        if value is None or value in options:
            return value
        near = nearest(value, options, 0.4)
        fix = f"did you mean {near}?" if near else f"write one of {', '.join(options)}"
        self.note(f"{key} can't be {value!r}", key, fix=fix)
        return None

    def texts(self, key: str) -> list[tuple[int, str]]:
        """A list of text, each with its index."""
        found = []
        for index, value in enumerate(self._list(key, "text")):
            if isinstance(value, str) and value:
                found.append((index, value))
            else:
                self.note(f"must be text, not {_kind(value)}", key, index=index, fix="put it in quotes")
        return found

    def node(self, key: str) -> Node | None:
        """The mapping under a key."""
        value, loc = self.find(key)
        if value is None:
            return None
        if isinstance(value, Mapping):
            return Node(((value, loc),), self.findings, self.address, f"{self.trail}.{key}".lstrip("."))
        self.note(f"{key} must be a mapping, not {_kind(value)}", key)
        return None

    def nodes(self, key: str) -> list[Node]:
        """The mappings of a list, in order."""
        found = []
        _, loc = self.find(key)
        for index, value in enumerate(self._list(key, "mappings")):
            if not isinstance(value, Mapping):
                self.note(f"must be a mapping, not {_kind(value)}", key, index=index)
                continue
            trail = f"{self.trail}.{key}[{index}]".lstrip(".")
            found.append(Node(((value, (*loc, index)),), self.findings, self.address, trail))
        return found

    def merged(self, keys: Sequence[str]) -> Node | None:
        """The mappings under several keys as one; a key that two of them give differently is a problem."""
        found = [node for key in keys if (node := self.node(key))]
        seen: dict[str, Any] = {}
        for node in found:
            for key, value in node.parts[0][0].items():
                if key in seen and seen[key] != value:
                    node.note(f"{key} is given twice, differently", key, fix=f"keep it under {keys[0]} only")
                seen.setdefault(key, value)
        if not found:
            return None
        parts = tuple(part for node in found for part in node.parts)
        return Node(parts, self.findings, self.address, found[0].trail)

    def check_keys(self, known: frozenset[str], elsewhere: Mapping[str, str]) -> None:
        """Note keys that are misspelled, stand at the wrong level (`elsewhere`: key → right place), or aren't used."""
        for key in self.keys():
            if key in known:
                continue
            if key in elsewhere:
                self.note(f"{key} is not read here", key, fix=elsewhere[key], severity="warning", at_key=True)
            elif near := nearest(key, known, _NEAR_MISS):
                self.note(f"unknown key {key!r}", key, fix=f"did you mean {near}?", at_key=True)
            else:
                self.note(f"{key} is kept but not used", key, severity="warning", at_key=True)

    def _list(self, key: str, of: str) -> list[Any]:
        value, _ = self.find(key)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self.note(f"{key} must be a list of {of}, not {_kind(value)}", key, fix="begin each entry with a dash")
        return []


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"
