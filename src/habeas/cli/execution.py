"""`habeas execution`: the switch that stops new executions everywhere, without losing any."""

from __future__ import annotations

import typer

from habeas.cli.options import Place, placed


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Stop and go on executing requests.", no_args_is_help=True)
    commands.command()(pause)
    commands.command()(resume)
    commands.command()(status)
    app.add_typer(commands, name="execution")


@placed
def pause(place: Place) -> None:
    """Start no new executions. Requests are still taken in; what runs ends."""
    _switch(place, True)


@placed
def resume(place: Place) -> None:
    """Execute what waits."""
    _switch(place, False)


@placed
def status(place: Place) -> None:
    """Whether executions are paused, and how many workers are alive."""
    _switch(place, None)


def _switch(place: Place, paused: bool | None) -> None:
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        body = {"paused": paused}
        now = client.get("/execution") if paused is None else client.call("PUT", "/execution", json=body)
    text = "Executions are paused; requests wait." if now["paused"] else "Executions go on."
    text += f" Workers alive: {now['workers']}."
    answer(place.as_json, now, lambda out: out.print(text))
