"""The `habeas` command: puts the commands together, and turns errors into messages and exit codes.

Command modules import typer alone at their top; what a command needs it imports when it runs, so that the
command line starts at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from habeas import __version__
from habeas.cli import (
    apply,
    audit,
    category,
    connection,
    dataset,
    demo,
    doctor,
    erased,
    event,
    event_webhook,
    execution,
    message,
    plan,
    receipt,
    request,
    serve,
    user,
    webhook,
)
from habeas.cli.output import Exit, say
from habeas.core.errors import Forbidden, HabeasError, SourceUnreachable, Unauthorised, Unavailable

EXIT_CODES = """Exit codes: 0 done and well · 1 a problem was found, or it can't be done as asked · 2 wrong usage ·
3 a server, database or worker can't be reached · 4 not authorised · 130 interrupted.

Commands work on a local data directory, or with --server on a server; both do the same."""

app = typer.Typer(
    name="habeas",
    help="Answers privacy requests: finds, hands over, masks and erases everything about a person, and proves it.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for part in (
    serve,
    demo,
    apply,
    dataset,
    category,
    connection,
    plan,
    request,
    receipt,
    erased,
    audit,
    event,
    event_webhook,
    message,
    execution,
    user,
    webhook,
    doctor,
):
    part.register(app)


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"habeas {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """The options of `habeas` itself."""


def main() -> None:
    """Run the command line and exit with one of the documented codes."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line, like `main`, and give its exit code. Problems are said on stderr."""
    try:
        app(arguments, prog_name="habeas")
    except HabeasError as problem:
        say(f"habeas: {problem}")
        return code_of(problem)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.OK if end.code is None else Exit.PROBLEM
    return Exit.OK


def code_of(problem: HabeasError) -> Exit:
    """The exit code for an error of ours, or of the API that it was told by."""
    status = getattr(problem, "http_status", problem.status)
    if isinstance(problem, Unauthorised | Forbidden) or status in (401, 403):
        return Exit.NOT_ALLOWED
    if isinstance(problem, Unavailable | SourceUnreachable) or status in (502, 503, 504):
        return Exit.UNREACHABLE
    return Exit.PROBLEM
