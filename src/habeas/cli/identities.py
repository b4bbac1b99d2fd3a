"""Identities on the command line: `kind=value`, kept away from shell history by `@file` and `-`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

Identities = Annotated[
    list[str],
    typer.Option(
        "--identity",
        "-i",
        metavar="KIND=VALUE",
        help="What finds the person: email=…, phone_number=…, or a kind of yours. Repeat for several. "
        "KIND=@FILE reads the value from a file, KIND=- from standard input.",
    ),
]


def read_identities(given: list[str]) -> dict[str, str]:
    """Kinds and values. Raises BadInput that names the position, never the value."""
    from habeas.core.errors import BadInput

    found: dict[str, str] = {}
    for number, text in enumerate(given, 1):
        kind, equals, value = text.partition("=")
        if not equals or not kind:
            raise BadInput("is no KIND=VALUE", where=f"--identity number {number}", fix="write email=ada@example.com")
        if kind in found:
            raise BadInput(f"{kind} is given twice", where=f"--identity number {number}")
        found[kind] = _value(kind, value)
    return found


def _value(kind: str, value: str) -> str:
    from habeas.core.errors import BadInput

    if value == "-":
        return sys.stdin.readline().strip()
    if value.startswith("@") and len(value) > 1:
        try:
            return Path(value[1:]).read_text(encoding="utf-8").strip()
        except OSError as problem:
            raise BadInput(f"the file can't be read ({problem.strerror})", where=f"--identity {kind}") from None
    return value
