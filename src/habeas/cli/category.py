"""`habeas category`: shows the data categories of an installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.options import Place, placed

if TYPE_CHECKING:
    from habeas.cli.client import Client


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Data categories: the taxonomy, and what you added to it.", no_args_is_help=True)
    commands.command("list")(list_categories)
    app.add_typer(commands, name="category")


@placed
def list_categories(
    place: Place,
    everything: Annotated[bool, typer.Option("--all", help="Also those of the standard taxonomy.")] = False,
) -> None:
    """The data categories that were added to the taxonomy, by key."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found: list[dict[str, Any]] = [each for each in client.get("/data_category") if everything or is_own(each)]
    columns = ("fides_key", "parent_key", "name", "description", "is_default")
    rows = [[each.get(column) for column in columns] for each in found]
    answer(place.as_json, found, table(columns, rows, empty="No category was added to the taxonomy."))


def is_own(category: dict[str, Any]) -> bool:
    """Whether an operator added it."""
    return not category["is_default"]


def own_categories(client: Client) -> frozenset[str]:
    """The keys that were added to the taxonomy."""
    return frozenset(each["fides_key"] for each in client.get("/data_category") if is_own(each))
