"""`habeas event`: what happens to requests, as it happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.options import Place, placed

if TYPE_CHECKING:
    from habeas.cli.client import Client

_COLUMNS = ("id", "created_at", "type", "privacy_request_id", "policy_key", "what")
_SHOWN = frozenset({"id", "created_at", "type", "privacy_request_id", "policy_key"})
LOOK_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="What happens to requests.", no_args_is_help=True)
    commands.command("list")(list_events)
    app.add_typer(commands, name="event")


@placed
def list_events(
    place: Place,
    types: Annotated[list[str] | None, typer.Option("--type", help="Only these types.")] = None,
    request: Annotated[str | None, typer.Option(help="Only of this request.")] = None,
    after: Annotated[int | None, typer.Option(min=0, help="Only what came behind the event of this id.")] = None,
    last: Annotated[int, typer.Option(min=0, max=1000, help="So many of the newest.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until interrupted.")] = False,
) -> None:
    """Events, oldest first. With --follow and --json one event a line."""
    import json
    import sys
    import time

    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    wanted = {"type": types or None, "request_id": request}
    begin = {"after": after} if after is not None else {"last": last}
    with open_client(place) as client:
        found, seen = _read(client, wanted | begin)
        if not follow:
            answer(place.as_json, found, table(_COLUMNS, map(_row, found), empty="There are no such events."))
            return
        while True:
            for event in found:
                line = json.dumps(event, ensure_ascii=False) if place.as_json else "  ".join(map(str, _row(event)))
                sys.stdout.write(line + "\n")
            sys.stdout.flush()
            time.sleep(LOOK_SECONDS)
            found, seen = _read(client, wanted | {"after": seen})


def _read(client: Client, query: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """What there is now, and the position behind which to go on."""
    text = client.text("/events", follow=False, **query)
    ids = [int(line.removeprefix("id: ")) for line in text.split("\n") if line.startswith("id: ")]
    return list(_events(text)), ids[-1]


def _events(text: str) -> Iterator[dict[str, Any]]:
    import json

    for line in text.split("\n"):
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _row(event: dict[str, Any]) -> list[object]:
    what = ", ".join(f"{name} {value}" for name, value in event.items() if name not in _SHOWN)
    return [*(event[name] or "–" for name in _COLUMNS[:-1]), what]
