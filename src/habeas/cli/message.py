"""`habeas message`: tries whether messages can be sent, and shows what became of them."""

from __future__ import annotations

from typing import Annotated

import typer

from habeas.cli.options import Place, placed


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Messages to people.", no_args_is_help=True)
    commands.command("test")(try_sending)
    commands.command("list")(list_messages)
    commands.command()(retry)
    app.add_typer(commands, name="message")


@placed
def try_sending(place: Place, to: Annotated[str, typer.Argument(help="Address that it goes to.")]) -> None:
    """Send a test message with the stored configuration, or the settings. Exit code 1 if it fails."""
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop

    with open_client(place) as client:
        told = client.call("POST", "/email/test", json={"to": to})
    failed = told["test_status"] == "failed"
    line = f"failed: {told['failure_reason']}" if failed else "sent"
    answer(place.as_json, told, lambda out: out.print(line, markup=False))
    if failed:
        stop(Exit.PROBLEM)


@placed
def list_messages(
    place: Place,
    state: Annotated[str | None, typer.Option(help="waiting, sent or failed.")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    size: Annotated[int, typer.Option(min=1, max=100)] = 50,
) -> None:
    """Messages, newest first, without text and recipient."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found = client.get("/email/message", state=state, page=page, size=size)
    columns = ("id", "kind", "subject", "state", "attempts", "error", "created_at")
    rows = [[each[column] for column in columns] for each in found["items"]]
    answer(place.as_json, found, table(columns, rows, empty="There are no such messages."))


@placed
def retry(place: Place, message_id: Annotated[int, typer.Argument(help="Number of a failed message.")]) -> None:
    """Let a failed message be tried again."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        client.call("POST", f"/email/message/{message_id}/retry")
    answer(place.as_json, {"id": message_id}, lambda out: out.print(f"message {message_id} is tried again"))
