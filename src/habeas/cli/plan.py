"""`habeas plan`: what a request would read and write, without doing it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from habeas.cli.identities import Identities, read_identities
from habeas.cli.options import Place, placed


class Counts(StrEnum):
    """How rows are counted."""

    EXACT = "exact"
    ESTIMATE = "estimate"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Plans, before they are executed.", no_args_is_help=True)
    commands.command()(explain)
    app.add_typer(commands, name="plan")


@placed
def explain(
    place: Place,
    policy: Annotated[str, typer.Argument(help="Key of the policy.")],
    identity: Identities,
    counts: Annotated[Counts, typer.Option(help="Count by the plan's own key queries, or estimate.")] = Counts.EXACT,
    queries: Annotated[bool, typer.Option("--queries", help="Show the statements too; --json has them.")] = False,
) -> None:
    """Show what would be read and written, per collection, for one person. Writes nothing."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    body = {"policy_key": policy, "identity": read_identities(identity)}
    with open_client(place) as client:
        told = client.call("POST", "/privacy-request/plan", json=body, params={"counts": counts.value})
    answer(place.as_json, told, lambda out: out.print(explanation_text(told, queries=queries), markup=False))


def explanation_text(told: dict[str, Any], *, queries: bool) -> str:
    """An explanation, as the API tells it, as readable text; the statements only on demand, since they are long."""
    import msgspec

    from habeas.plan.explain import Explanation

    explanation = msgspec.convert(told, Explanation)
    if not queries:
        parts = tuple(msgspec.structs.replace(part, queries=()) for part in explanation.collections)
        explanation = msgspec.structs.replace(explanation, collections=parts)
    return explanation.render()
