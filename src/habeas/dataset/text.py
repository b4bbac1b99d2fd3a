"""YAML and JSON text as plain values, each with its place: safe, bounded, and the same for every file we read.

Scalars follow YAML 1.2's core schema, so that a column called `no` or a time like `12:30` stays text. Tags,
repeated keys, keys that aren't text, second documents, deep nesting and aliases that multiply are refused.
Never builds objects, never knows what the text is about.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

from habeas.core.errors import BadSyntax
from habeas.dataset.problem import Loc

MAX_BYTES = 5_000_000
MAX_DEPTH = 50
MAX_ALIASED = 10_000  # nodes that aliases add: room for honest reuse, none for a bomb

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?=[^eE]*[.eE])(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, and where the key before it; lines and columns count from 1."""

    line: int
    column: int
    key_line: int
    key_column: int


class _Mark(NamedTuple):
    line: int
    column: int

    @classmethod
    def of(cls, event: yaml.Event) -> _Mark:
        mark = event.start_mark
        return cls(mark.line + 1, mark.column + 1) if mark else cls(1, 1)


@dataclass(frozen=True)
class Document:
    """A value read from text. `places` knows every value by its keys and indices from the top."""

    name: str
    value: object
    places: Mapping[Loc, Place] = field(default_factory=dict)

    def place(self, loc: Loc) -> Place | None:
        """The place of that value, else of the nearest one around it, else None."""
        for length in range(len(loc), -1, -1):
            if place := self.places.get(loc[:length]):
                return place
        return None


def read_text(text: str, name: str) -> Document:
    """Read YAML or JSON text; `name` is the file's, for messages. Raises BadSyntax with line and column."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise BadSyntax(f"is larger than {MAX_BYTES // 1_000_000} MB", where=name, fix="split the file")
    text = text.removeprefix("\ufeff")
    is_yaml = name.lower().endswith((".yml", ".yaml"))
    if text.lstrip()[:1] in ("{", "[") and not is_yaml:
        return _read_json(text, name)
    return _compose(text, name)


def _read_json(text: str, name: str) -> Document:
    # YAML holds JSON but for two things: tabs between tokens, and astral characters written as surrogates.
    # The places come from the YAML reader, which also finds repeated keys; the values from json.
    neutral = re.sub(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", "      ", text.replace("\t", " "))
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadSyntax(error.msg, where=f"{name}:{error.lineno}:{error.colno}") from None
    except RecursionError:
        raise BadSyntax(f"is nested deeper than {MAX_DEPTH} levels", where=name) from None
    except ValueError:  # NaN, Infinity, or a number of thousands of digits
        raise BadSyntax("holds a number that JSON doesn't have", where=name) from None
    return Document(name, value, _compose(neutral, name).places)


def _refuse_constant(_: str) -> object:
    raise ValueError


def _compose(text: str, name: str) -> Document:
    composer = _Composer(name)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for event in yaml.parse(text, Loader=loader):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise BadSyntax(error.problem or "is not well-formed YAML", where=place) from None
    except (yaml.YAMLError, UnicodeError):
        raise BadSyntax("holds characters that YAML doesn't allow", where=name) from None
    return Document(name, composer.value, composer.places)


@dataclass(slots=True)
class _Frame:
    """An open mapping or sequence. `size` counts its nodes, aliases expanded."""

    loc: Loc
    value: dict[str, object] | list[object]
    anchor: str | None
    key: str | None = None
    key_mark: _Mark | None = None
    merging: bool = False  # the key is YAML's merge key, `<<` without quotes
    merges: list[object] = field(default_factory=list)
    size: int = 1


class _Composer:
    """Builds the value from parser events with a stack of its own, so that depth can't exhaust ours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: object = None
        self.places: dict[Loc, Place] = {}
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[object, int]] = {}
        self._open_anchors: set[str] = set()
        self._aliased = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        """Take the next event; raises BadSyntax for what isn't allowed."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refuse(event, "holds a second document", "write one document a file")
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()

    def _refuse(self, event: yaml.Event, message: str, fix: str | None = None) -> BadSyntax:
        line, column = _Mark.of(event)
        return BadSyntax(message, where=f"{self.name}:{line}:{column}", fix=fix)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.tag is not None:
            raise self._refuse(event, f"the tag {event.tag} is not allowed", "write plain values")
        value = event.value if event.style else _resolve(event.value)
        if self._awaits_key():
            self._set_key(event, value)
            return
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._place(event)
        self._add(value, 1)

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _set_key(self, event: yaml.ScalarEvent, value: object) -> None:
        frame = self._stack[-1]
        if not isinstance(value, str):
            raise self._refuse(event, f"the key {event.value!r} is not text", "put it in quotes")
        if isinstance(frame.value, dict) and value in frame.value:
            raise self._refuse(event, f"the key {value!r} stands here a second time", "keep one of them")
        frame.merging = value == "<<" and not event.style
        frame.key, frame.key_mark = value, _Mark.of(event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if self._awaits_key():
            raise self._refuse(event, "a key can't be an alias", "write the key out")
        if event.anchor in self._open_anchors:
            raise self._refuse(event, f"the alias {event.anchor} lies inside what it names", "write it out")
        if event.anchor not in self._anchors:
            raise self._refuse(event, f"the alias {event.anchor} names nothing above it")
        value, size = self._anchors[event.anchor]
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise self._refuse(event, f"aliases stand for more than {MAX_ALIASED} nodes", "write less by alias")
        self._place(event)
        self._add(value, size)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        if self._awaits_key():
            raise self._refuse(event, "a key must be text", "put it in quotes")
        if event.tag is not None:
            raise self._refuse(event, f"the tag {event.tag} is not allowed", "write plain values")
        if len(self._stack) >= MAX_DEPTH:
            raise self._refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
        loc = self._place(event)
        value: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.anchor:
            self._open_anchors.add(event.anchor)
        self._stack.append(_Frame(loc, value, event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.value, dict):
            # a merge key gives what the mapping doesn't say itself; the first of several wins
            for mapping in _mappings(frame.merges):
                frame.value.update({key: each for key, each in mapping.items() if key not in frame.value})
        if frame.anchor:
            self._open_anchors.discard(frame.anchor)
            self._anchors[frame.anchor] = (frame.value, frame.size)
        self._add(frame.value, frame.size)

    def _place(self, event: yaml.Event) -> Loc:
        """Note where the value that begins here stands; answers its loc."""
        loc: Loc = ()
        mark = key_mark = _Mark.of(event)
        if self._stack:
            frame = self._stack[-1]
            loc = (*frame.loc, frame.key if frame.key is not None else len(frame.value))
            key_mark = frame.key_mark or mark
        self.places[loc] = Place(*mark, *key_mark)
        return loc

    def _add(self, value: object, size: int) -> None:
        if not self._stack:
            self.value = value
            return
        frame = self._stack[-1]
        frame.size += size
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.merging:
            self._merge(frame, value)
        elif frame.key is not None:
            frame.value[frame.key] = value
        frame.key = frame.key_mark = None
        frame.merging = False

    def _merge(self, frame: _Frame, value: object) -> None:
        if not all(isinstance(each, dict) for each in (value if isinstance(value, list) else [value])):
            line, column = frame.key_mark or _Mark(1, 1)
            where = f"{self.name}:{line}:{column}"
            raise BadSyntax("a merge key takes a mapping or a list of mappings", where=where, fix="put << in quotes")
        frame.merges.append(value)


def _mappings(merges: list[object]) -> Iterator[dict[str, object]]:
    """The mappings named by merge keys, each given alone or in a list; the first has precedence."""
    for merge in merges:
        for each in merge if isinstance(merge, list) else [merge]:
            if isinstance(each, dict):
                yield each


def _resolve(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text) and len(text) < 400:
        return int(text)
    if _FLOAT.match(text) and math.isfinite(number := float(text)):
        return number
    return text
