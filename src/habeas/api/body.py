"""Reading a JSON body strictly: bounded in size and depth, no duplicate keys, and faults named by line and column.

The words of the body never appear in an error, only positions and, for a duplicate, where the key stands.
Knows nothing of routes or models.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from habeas.core.errors import BadSyntax

MAX_DEPTH = 64

# Tokens that matter for positions, in text that is known to be well-formed JSON.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(raw: bytes) -> object:
    """The value of a JSON body (RFC 8259, UTF-8). Raises BadSyntax with line and column.

    Refuses duplicate keys, NaN and Infinity, unpaired surrogates, and nesting deeper than 64.
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = raw[: problem.start].decode("utf-8", "replace")
        raise _fault("the text is not UTF-8", before, len(before)) from None
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        raise _malformed(text, problem) from None
    except _DuplicateKey:
        raise _fault("a key stands twice in one object", text, _find_duplicate(text), fix="keep one of them") from None
    except RecursionError:
        raise BadSyntax(f"nested deeper than {MAX_DEPTH}", where="body") from None
    except _NotJson as problem:
        match = re.search(rf"(?<![\w\"]){re.escape(str(problem))}", text)
        raise _fault("NaN and Infinity are not JSON", text, match.start() if match else 0) from None
    except ValueError:  # Python's bound on digits
        raise BadSyntax("a number has too many digits", where="body") from None
    _check_depth(text, value)
    _check_surrogates(text, value)
    return value


class _DuplicateKey(Exception):
    pass


class _NotJson(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKey
    return found


def _no_constant(name: str) -> NoReturn:
    raise _NotJson(name)


def _fault(problem: str, text: str, position: int, *, fix: str | None = None) -> BadSyntax:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return BadSyntax(problem, where=f"body, line {line} column {column}", fix=fix)


def _malformed(text: str, problem: json.JSONDecodeError) -> BadSyntax:
    """The parser's message, which names syntax and never content, and what is usually behind it."""
    preceding = text[: problem.pos].rstrip()
    if preceding.endswith(",") and text[problem.pos : problem.pos + 1] in ("]", "}"):
        return _fault("not JSON: a comma before a closing bracket", text, len(preceding) - 1, fix="remove the comma")
    if problem.msg.startswith("Illegal trailing comma"):
        return _fault("not JSON: a comma before a closing bracket", text, problem.pos, fix="remove the comma")
    fix = None
    if problem.msg.startswith(("Invalid control character", "Unterminated string", "Expecting ':'", "Expecting ','")):
        fix = "look for a missing quote or comma there or just before"
    return _fault(f"not JSON: {problem.msg[0].lower()}{problem.msg[1:]}", text, problem.pos, fix=fix)


def _find_duplicate(text: str) -> int:
    """Where the second of two equal keys begins. The text is well-formed."""
    seen: list[set[str] | None] = []
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word in "{[":
            seen.append(set() if word == "{" else None)
        elif word in "}]":
            seen.pop()
        elif word[0] == '"' and seen and seen[-1] is not None and text[token.end() :].lstrip().startswith(":"):
            key = json.loads(word)
            if key in seen[-1]:
                return token.start()
            seen[-1].add(key)
    return 0


def _check_depth(text: str, value: object) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    if any(isinstance(each, dict | list) for each in level):
        raise BadSyntax(f"nested deeper than {MAX_DEPTH}", where="body")


def _check_surrogates(text: str, value: object) -> None:
    if not _SURROGATE.search(text):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        first = _SURROGATE.search(text)
        raise _fault("half of a surrogate pair stands alone", text, first.start() if first else 0) from None
