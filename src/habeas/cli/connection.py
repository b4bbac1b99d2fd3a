"""`habeas connection`: tries connections."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from habeas.cli.options import Place, placed


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Connections to the systems that hold data.", no_args_is_help=True)
    commands.command("test")(try_connections)
    commands.command("list")(list_connections)
    app.add_typer(commands, name="connection")


@placed
def try_connections(
    place: Place,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]…", help="All connections if none.")] = None,
) -> None:
    """Reach each system with the stored secrets. Exit code 1 if one fails."""
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop, table

    with open_client(place) as client:
        chosen = keys or [connection["key"] for connection in client.pages("/connection")]
        results: list[dict[str, Any]] = [{"key": key} | client.get(f"/connection/{key}/test") for key in chosen]
    rows = [(each["key"], each["test_status"], each.get("failure_reason") or each.get("msg")) for each in results]
    answer(place.as_json, results, table(("connection", "test", "reason"), rows, empty="There are no connections."))
    if any(each["test_status"] == "failed" for each in results):
        stop(Exit.PROBLEM)


@placed
def list_connections(place: Place) -> None:
    """All connections, by name, with their last test."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found = list(client.pages("/connection"))
    columns = ("key", "connection_type", "access", "disabled", "last_test_succeeded")
    rows = [[each.get(column) for column in columns] for each in found]
    answer(place.as_json, found, table(columns, rows, empty="There are no connections."))
