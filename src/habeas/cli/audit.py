"""`habeas audit`: who decided and saw what, and whether the trail still holds."""

from __future__ import annotations

from typing import Annotated

import typer

from habeas.cli.options import Place, placed

_COLUMNS = ("created_at", "actor", "action", "subject", "detail")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Who decided and saw what.", no_args_is_help=True)
    commands.command("list")(list_entries)
    commands.command()(verify)
    app.add_typer(commands, name="audit")


@placed
def list_entries(
    place: Place,
    subject: Annotated[str | None, typer.Option(help="Id or key of what it was done to.")] = None,
    actor: Annotated[str | None, typer.Option(help="Id of the client, or system.")] = None,
    action: Annotated[str | None, typer.Option(help="Begins so, such as privacy_request.")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    size: Annotated[int, typer.Option(min=1, max=100)] = 50,
) -> None:
    """Entries of the audit trail, newest first."""
    import json

    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found = client.get("/audit-trail", subject=subject, actor=actor, action=action, page=page, size=size)
    rows = [
        [each[name] for name in _COLUMNS[:-1]] + [json.dumps(each["detail"]) if each["detail"] else ""]
        for each in found["items"]
    ]
    answer(place.as_json, found, table(_COLUMNS, rows, empty="There are no such entries."))


@placed
def verify(place: Place) -> None:
    """Check that no entry was changed, moved or removed. Exit code 1 if one was. Keep the digest elsewhere: a dropped
    end shows only against it.
    """
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop

    with open_client(place) as client:
        told = client.get("/audit-trail/chain")
    text = (
        f"{told['entries']} entries, each follows the one before; the last digest is {told['digest']}"
        if told["verified"]
        else f"entry {told['broken_at']} does not follow the one before it, after {told['entries']} that do"
    )
    answer(place.as_json, told, lambda out: out.print(text, markup=False))
    if not told["verified"]:
        stop(Exit.PROBLEM)
