"""Values inside a document: which lie at a path, which array elements stay, and how parts are made unreadable.

A document is what JSON holds: objects, arrays, scalars. A path is the names to descend by; arrays on the way,
however deep one in the other, are gone through. An array is filtered only where a path by which rows are found
(an entry) leads through it: then it keeps the elements in which a wanted value lies, by any of its entries, and
none where nothing matches, for the others are somebody else's. Objects and scalars are never taken away. Pure:
a document is never changed, a new one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from habeas.core.values import canonical_text, decode_json

Path: TypeAlias = tuple[str, ...]
Entries: TypeAlias = Mapping[Path, frozenset[str] | None]
"""Wanted values, as canonical texts, by the path where they lie; None wants every element."""
Place: TypeAlias = tuple[str | int, ...]
Cover = Callable[[object, Place], object]
"""From a value that is no array and not NULL, and its place (names and indices), to what is written there."""


class NotADocument(ValueError):
    """Text that was to be JSON isn't; the message holds no value."""


def open_document(value: object, entries: Entries | None = None) -> object:
    """The document that a column holds: text is read as JSON, since some stores keep it so.

    Text that is no JSON stands for itself where only whole values are asked for (all paths are empty); else
    raises NotADocument.
    """
    if not isinstance(value, str | msgspec.Raw):
        return value
    try:
        return decode_json(value)
    except (msgspec.DecodeError, UnicodeError):
        if entries is not None and any(entries):
            raise NotADocument("text that is not JSON") from None
        return value


def values_at(value: object, path: Path) -> Iterator[object]:
    """Scalars at the path, in order; NULL and objects at its end are none."""
    if isinstance(value, list | tuple):
        for element in value:
            yield from values_at(element, path)
    elif path:
        if isinstance(value, Mapping) and path[0] in value:
            yield from values_at(value[path[0]], path[1:])
    elif value is not None and not isinstance(value, Mapping):
        yield value


def keep_elements(value: object, entries: Entries) -> object:
    """The document with only those elements of entries' arrays in which a wanted value lies."""
    if not entries:
        return value
    if isinstance(value, list | tuple):
        return [keep_elements(element, entries) for element in value if is_wanted(element, entries)]
    if isinstance(value, Mapping):
        return {
            name: keep_elements(below, inner) if (inner := below_name(entries, name)) else below
            for name, below in value.items()
        }
    return value


def is_wanted(element: object, entries: Entries) -> bool:
    """Whether a wanted value of any entry lies in the element."""
    return any(
        wanted is None or any(canonical_text(each) in wanted for each in values_at(element, path))
        for path, wanted in entries.items()
    )


def below_name(entries: Entries, name: str) -> dict[Path, frozenset[str] | None]:
    """The entries that lead through this name, as seen from below it."""
    return {path[1:]: wanted for path, wanted in entries.items() if path and path[0] == name}


def cover_parts(value: object, parts: Mapping[Path, Cover], entries: Entries, place: Place = ()) -> object:
    """The document with what lies at the parts' paths covered; of entries' arrays the wanted elements only.

    A part takes all that is in it. NULL stays NULL, and what isn't there isn't made.
    """
    whole = parts.get(())
    if whole is not None:
        return _cover(value, whole, entries, place)
    if isinstance(value, list | tuple):
        return [
            cover_parts(element, parts, entries, (*place, index)) if _is_hers(element, entries) else element
            for index, element in enumerate(value)
        ]
    if isinstance(value, Mapping):
        return {
            name: cover_parts(below, inner, below_name(entries, name), (*place, name))
            if (inner := {path[1:]: part for path, part in parts.items() if path[0] == name})
            else below
            for name, below in value.items()
        }
    return value


def cover_own(
    value: object, parts: Mapping[Path, Cover], entries: Entries, is_own: Callable[[Path, object], bool]
) -> object:
    """The document with what is one person's own covered, at the parts' paths: all in the wanted elements of entries'
    arrays, and elsewhere the values of which `is_own` (the part's path, the value) says so. Everything else stays.

    An entry that wants every element tells nothing about whose they are.
    """
    told = {path: wanted for path, wanted in entries.items() if wanted is not None}

    def guarded(path: Path, cover: Cover) -> Cover:
        return lambda value, place: cover(value, place) if is_own(path, value) else value

    kept = {path: guarded(path, cover) for path, cover in parts.items()}
    return _cover_own(value, parts, kept, told, ())


def _cover_own(
    value: object, parts: Mapping[Path, Cover], kept: Mapping[Path, Cover], entries: Entries, place: Place
) -> object:
    if isinstance(value, list | tuple):
        return [
            cover_parts(element, parts, {}, (*place, index))
            if entries and is_wanted(element, entries)
            else _cover_own(element, parts, kept, entries, (*place, index))
            for index, element in enumerate(value)
        ]
    whole = kept.get(())
    if whole is not None and not isinstance(value, Mapping):
        return None if value is None else whole(value, place)
    if isinstance(value, Mapping):
        return {
            name: _cover_own(below, _below(parts, name), inner, below_name(entries, name), (*place, name))
            if (inner := _below(kept, name))
            else below
            for name, below in value.items()
        }
    return value


def _below(parts: Mapping[Path, Cover], name: str) -> dict[Path, Cover]:
    """What lies below a name, as seen from there; of what is taken whole, all that is in it."""
    return {path[1:]: part for path, part in parts.items() if path[:1] == (name,)} | (
        {(): parts[()]} if () in parts else {}
    )


def _cover(value: object, cover: Cover, entries: Entries, place: Place) -> object:
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [
            _cover(element, cover, entries, (*place, index)) if _is_hers(element, entries) else element
            for index, element in enumerate(value)
        ]
    if isinstance(value, Mapping) and any(entries):
        return {name: _cover(below, cover, below_name(entries, name), (*place, name)) for name, below in value.items()}
    return cover(value, place)


def _is_hers(element: object, entries: Entries) -> bool:
    return not entries or is_wanted(element, entries)
