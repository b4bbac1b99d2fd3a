"""How commands answer: one value, shown as JSON with `--json`, else as readable text; and the exit codes.

Answers go to stdout, progress and problems to stderr, so that output can be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, "JsonValue"] | list["JsonValue"]
JsonValue = str | int | float | bool | None | dict[str, "JsonValue"] | list["JsonValue"]


class Exit(IntEnum):
    """Exit codes of every command, as `habeas --help` lists them."""

    OK = 0
    PROBLEM = 1  # it was done, and what it looked for is wrong; or it can't be done as asked
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    INTERRUPTED = 130


def console(*, stderr: bool = False) -> Console:
    """A console for readable output."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def answer(as_json: bool, value: object, readable: Callable[[Console], None]) -> None:
    """Show a result: `value` as JSON, or by `readable`."""
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    else:
        readable(console())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> Callable[[Console], None]:
    """A table as readable output; `empty` is said when there are no rows."""
    shown = [[_cell(cell) for cell in row] for row in rows]

    def show(out: Console) -> None:
        from rich.table import Table
        from rich.text import Text

        if not shown:
            out.print(empty)
            return
        grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for column in columns:
            grid.add_column(column, overflow="fold")
        for row in shown:
            grid.add_row(*map(Text, row))
        out.print(grid)

    return show


def say(text: str) -> None:
    """One line to stderr, for what isn't the answer."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def stop(code: Exit) -> NoReturn:
    """End the command with this code."""
    raise typer.Exit(int(code))


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "–"
    return str(value)
