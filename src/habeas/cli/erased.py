"""`habeas verify` and `habeas replay`: whether what was erased is still gone, and erasing it again if it is back."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.options import Place, placed

if TYPE_CHECKING:
    from rich.console import Console

    from habeas.cli.client import Client

_LOOK_SECONDS = 0.2
_ROUTES = {"replay": "replay", "verification": "erasure-verification"}
_TIMES = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(verify)
    app.command()(replay)


@placed
def verify(
    place: Place,
    request_id: Annotated[str | None, typer.Argument(help="Id of the request, pri_…")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that was ever erased.")] = False,
) -> None:
    """Look again whether what was erased is still gone. Needs no identity. Exit code 1 if something is back."""
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop
    from habeas.core.errors import BadInput

    if every == (request_id is not None):
        raise BadInput("name one request, or give --all")
    with open_client(place) as client:
        if request_id is not None:
            told = client.call("POST", f"/privacy-request/{request_id}/verify-erasure")
            answer(place.as_json, told, lambda out: _show_request(out, told))
            good = told["verified"]
        else:
            told = _to_end(client, client.call("POST", "/erasure-verification"), wait=True)
            answer(place.as_json, told, lambda out: _show_run(out, told))
            good = told["status"] == "complete" and not told["reappeared"]
    if not good:
        stop(Exit.PROBLEM)


@placed
def replay(
    place: Place,
    since: Annotated[datetime, typer.Option(formats=_TIMES, help="When the backup was taken; UTC without a zone.")],
    connection: Annotated[str | None, typer.Option(help="Only in this system.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end.")] = False,
) -> None:
    """After a backup was restored: erase again what was erased since it was taken, from the ledger.

    Needs no identity, and touches a row only if it is as it was before it was erased. With --wait exit code 1 if
    it ends in error.
    """
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop

    body = {"since": since.isoformat(), "connection_key": connection}
    with open_client(place) as client:
        told = _to_end(client, client.call("POST", "/replay", json=body), wait=wait)
    answer(place.as_json, told, lambda out: _show_run(out, told))
    if told["status"] == "error":
        stop(Exit.PROBLEM)


def _to_end(client: Client, run: dict[str, Any], *, wait: bool) -> dict[str, Any]:
    from habeas.cli.watching import working

    if not wait:
        return run
    with working(client) as check:
        while run["finished_at"] is None:
            check()
            time.sleep(_LOOK_SECONDS)
            run = client.get(f"/{_ROUTES[run['kind']]}/{run['id']}")
    return run


def _show_request(out: Console, told: dict[str, Any]) -> None:
    if told["verified"]:
        out.print(f"{told['rows']} erased rows are still gone.", markup=False)
        return
    for address, rows in told["incomparable"].items():
        out.print(f"  {address}: {rows} rows of a table without a key can't be told again.", markup=False)
    out.print(f"{told['reappeared']} of {told['rows']} erased rows are back:", markup=False)
    for address, counts in told["collections"].items():
        if counts["reappeared"]:
            out.print(f"  {address}: {counts['reappeared']} of {counts['rows']}", markup=False)
    out.print("habeas replay --since TIME erases them again.", markup=False)


def _show_run(out: Console, told: dict[str, Any]) -> None:
    out.print(f"{told['id']} {told['status']}", markup=False)
    for address, counts in sorted(told["counts"].items()):
        cells = ", ".join(f"{name.replace('_', ' ')} {rows}" for name, rows in counts.items())
        out.print(f"  {address}: {cells}", markup=False)
    for problem in told["problems"] or ():
        out.print(f"  {problem['address']}: {problem['problem']} – {problem['fix']}", markup=False)
    if told["reappeared"]:
        out.print(f"Something is back of {told['reappeared']} requests: habeas request list", markup=False)
