"""The page `docs/reference/api.md`, made from the OpenAPI document. Pure: reads and writes nothing.

`make reference` writes the page; a test fails while it isn't current.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

HEAD = """# The API

Made by `make reference` from the OpenAPI document (`/openapi.json`, and for people `/docs`): don't edit. All routes
answer with and without a trailing slash. Errors are `application/problem+json` with `detail`; what may come beside
those that every route can give (400, 401, 403, 404, 409, 413, 415, 422, 503) stands with the route. What differs from
fidesops, route by route: [Coming from fidesops](../from-fidesops.md). Who calls, and scopes of roles:
[People](../users.md).

`open`: anybody may call it. A scope in brackets: also without a token, where identities are verified.
"""

USUAL = frozenset({"200", "400", "401", "403", "404", "409", "413", "415", "422", "503"})


def page_of(document: Mapping[str, Any], public: frozenset[tuple[str, str]]) -> str:
    """The page. `public`: method (upper case) and path of routes that may be called with a scope or without a token."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = next(iter(operation.get("tags", ())), "Other")
            row = _row(method.upper(), path, operation, (method.upper(), path) in public)
            groups.setdefault(tag, []).append(row)
    return HEAD + "".join(_table(tag, rows) for tag, rows in sorted(groups.items())) + _scopes(document)


def _table(tag: str, rows: list[str]) -> str:
    return f"\n## {tag}\n\n| route | scope | what it does |\n|---|---|---|\n" + "".join(rows)


def _row(method: str, path: str, operation: Mapping[str, Any], is_public: bool) -> str:
    scope = scope_of(operation)
    shown = "open" if scope is None else f"[`{scope}`]" if is_public else f"`{scope}`"
    text = re.sub(r"\s+", " ", operation.get("description") or operation["summary"]).strip().replace("|", "\\|")
    unusual = [status for status in operation["responses"] if status not in USUAL]
    told = f" ({', '.join(unusual)})" if unusual else ""
    return f"| `{method} {path.removeprefix('/api/v1')}` | {shown} | {text}{told} |\n"


def _scopes(document: Mapping[str, Any]) -> str:
    used: dict[str, int] = {}
    for scope in _all_scopes(document):
        used[scope] = used.get(scope, 0) + 1
    lines = "".join(f"| `{scope}` | {count} |\n" for scope, count in sorted(used.items()))
    return f"\n## Scopes\n\n| scope | routes that need it |\n|---|---|\n{lines}"


def _all_scopes(document: Mapping[str, Any]) -> Iterator[str]:
    for methods in document["paths"].values():
        for operation in methods.values():
            scope = scope_of(operation)
            if scope is not None:
                yield scope


def scope_of(operation: Mapping[str, Any]) -> str | None:
    """The scope that a route needs; None where anybody may call it."""
    found = [scope for each in operation.get("security", ()) for names in each.values() for scope in names]
    return found[0] if found else None
