"""`habeas webhook`: which webhooks policies call, setting them, the log of calls, and sending one again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from habeas.cli.options import Place, placed

PHASES = ("pre_execution", "post_execution", "pre_approval")

Policy = Annotated[str | None, typer.Option(help="Key of the policy; pre_approval has none.")]
Phase = Annotated[str, typer.Option(help="pre_execution, post_execution or pre_approval.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Calls to other systems before and after a request.", no_args_is_help=True)
    commands.command("list")(list_webhooks)
    commands.command("set")(set_webhooks)
    commands.command()(remove)
    commands.command()(deliveries)
    commands.command()(replay)
    app.add_typer(commands, name="webhook")


@placed
def list_webhooks(place: Place, policy: Policy = None, phase: Phase = "pre_execution") -> None:
    """Webhooks of a policy, or those that are asked before approval, in order."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    path = path_of(policy, phase)
    with open_client(place) as client:
        found = list(client.pages(path))
    answer(
        place.as_json, found, table(("order", "key", "connection", "direction"), _rows(found), empty="There are none.")
    )


@placed
def set_webhooks(
    place: Place,
    webhooks: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=CONNECTION[:two_way]…", help="In order; none deletes all.")
    ] = None,
    policy: Policy = None,
    phase: Phase = "pre_execution",
) -> None:
    """Make the webhooks of a policy be exactly these, in this order. Without `:two_way` they are one_way."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    path = path_of(policy, phase)
    given = [_read(text, phase) for text in webhooks or []]
    with open_client(place) as client:
        made = client.call("PUT", path, json=given)
    answer(
        place.as_json, made, table(("order", "key", "connection", "direction"), _rows(made), empty="There are none.")
    )


@placed
def remove(
    place: Place,
    key: Annotated[str, typer.Argument(help="Key of the webhook.")],
    policy: Policy = None,
    phase: Phase = "pre_execution",
) -> None:
    """Delete a webhook."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        client.call("DELETE", f"{path_of(policy, phase)}/{key}")
    answer(place.as_json, {"key": key}, lambda out: out.print(f"webhook {key} is deleted", markup=False))


@placed
def deliveries(
    place: Place,
    request: Annotated[str | None, typer.Option(help="Id of a privacy request.")] = None,
    key: Annotated[str | None, typer.Option(help="Key of a webhook.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, awaited, delivered, failed, …")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    size: Annotated[int, typer.Option(min=1, max=100)] = 50,
) -> None:
    """Calls of webhooks, newest first, with what came of the last attempt."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    wanted = {"privacy_request_id": request, "webhook_key": key, "state": state}
    given = {name: value for name, value in wanted.items() if value is not None}
    with open_client(place) as client:
        found = client.get("/webhook/delivery", page=page, size=size, **given)
    columns = ("id", "request", "webhook", "phase", "state", "attempts", "status", "cause")
    rows = [_delivery_row(each) for each in found["items"]]
    answer(place.as_json, found, table(columns, rows, empty="There are no such calls."))


@placed
def replay(place: Place, delivery: Annotated[str, typer.Argument(help="Id of a call that was taken.")]) -> None:
    """Send a call again, under the same id. Nothing about its request changes. Exit code 1 if it isn't taken."""
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop

    with open_client(place) as client:
        told = client.call("POST", f"/webhook/delivery/{delivery}/replay")
    cause = told["attempts"][-1]["cause"]
    answer(place.as_json, told, lambda out: out.print(f"failed: {cause}" if cause else "taken", markup=False))
    if cause:
        stop(Exit.PROBLEM)


def path_of(policy: str | None, phase: str) -> str:
    """The route of a list of webhooks. Raises BadInput for a phase that is none, or that needs a policy."""
    from habeas.core.errors import BadInput

    if phase not in PHASES:
        raise BadInput("is no phase", where="--phase", fix=f"one of {', '.join(PHASES)}")
    if phase == "pre_approval":
        return "/dsr/webhook/pre_approval"
    if policy is None:
        raise BadInput("is needed for this phase", where="--policy", fix="name the policy's key")
    return f"/policy/{policy}/webhook/{phase}"


def _read(text: str, phase: str) -> dict[str, Any]:
    from habeas.core.errors import BadInput

    key, equals, place = text.partition("=")
    connection, _, direction = place.partition(":")
    if not equals or not key or not connection:
        raise BadInput("is not KEY=CONNECTION or KEY=CONNECTION:two_way", where="webhook")
    given = {"key": key, "connection_config_key": connection}
    return given if phase == "pre_approval" else given | {"direction": direction or "one_way"}


def _rows(found: list[dict[str, Any]]) -> list[list[object]]:
    return [
        [each.get("order", "-"), each["key"], each["connection_config"]["key"], each.get("direction", "-")]
        for each in found
    ]


def _delivery_row(each: dict[str, Any]) -> list[object]:
    last = each["attempts"][-1] if each["attempts"] else {}
    shown = [each[name] for name in ("id", "privacy_request_id", "webhook_key", "phase", "state")]
    return [*shown, len(each["attempts"]), last.get("status_code"), last.get("cause")]
