"""Reading CHECKs out of a table's definition, as far as quotes, comments and parentheses go. Text only.

No SQL is understood here: a condition is taken as it stands and run by the store that wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARTS = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?(?:\*/|\Z)|[()]|\bCHECK\b""",
    re.IGNORECASE | re.DOTALL,
)


def checks_in(definition: str) -> tuple[str, ...]:
    """The CHECKs of a CREATE TABLE, of columns and of the table, in order, each as `CHECK (condition)`."""
    parts = list(_PARTS.finditer(definition))
    found = []
    for number, part in enumerate(parts[:-1]):
        following = parts[number + 1]
        between = definition[part.end() : following.start()]
        if part[0].upper() == "CHECK" and following[0] == "(" and not between.strip():
            end = _closing(parts[number + 1 :])
            found.append(f"CHECK {definition[following.start() : end]}")
    return tuple(found)


def condition_of(check: str) -> str:
    """The condition of a CHECK, without the word and what may follow it (`NOT VALID`)."""
    parts = list(_PARTS.finditer(check))
    if len(parts) < 2 or parts[0][0].upper() != "CHECK" or parts[0].start() != 0:
        return check
    return check[parts[1].start() : _closing(parts[1:])]


def _closing(parts: list[re.Match[str]]) -> int:
    """Where the parenthesis that opens first is closed; the end of the text if it never is."""
    for depth, part in _depths(parts):
        if depth == 0:
            return part.end()
    return parts[0].endpos


def _depths(parts: list[re.Match[str]]) -> Iterator[tuple[int, re.Match[str]]]:
    depth = 0
    for part in parts:
        depth += (part[0] == "(") - (part[0] == ")")
        yield depth, part
