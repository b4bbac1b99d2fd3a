"""`habeas event-webhook`: where events are sent to, and what became of each."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from habeas.cli.options import Place, placed

_COLUMNS = ("key", "url", "types", "disabled", "disabled_reason", "failures")
_DELIVERY = ("event_id", "type", "state", "attempts", "error", "created_at", "due_at")
WebhookKey = Annotated[str, typer.Argument(help="Key of the webhook.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Only these types; all without any.")]
Secret = Annotated[
    str | None, typer.Option(envvar="HABEAS_EVENT_WEBHOOK_SECRET", help="Signing secret; one is made without.")
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Where events are sent to.", no_args_is_help=True)
    for name, command in (
        ("add", add),
        ("list", list_webhooks),
        ("enable", enable),
        ("disable", disable),
        ("delete", delete),
        ("deliveries", deliveries),
        ("replay", replay),
    ):
        commands.command(name)(command)
    app.add_typer(commands, name="event-webhook")


@placed
def add(
    place: Place,
    name: Annotated[str, typer.Argument(help="Its name; the key is made of it.")],
    url: Annotated[str, typer.Argument(help="Where events are sent to.")],
    types: Types = None,
    secret: Secret = None,
) -> None:
    """Register a webhook. Its signing secret is shown this once."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    body = {"name": name, "url": url, "types": types or [], **({"secret": secret} if secret else {})}
    with open_client(place) as client:
        made = client.call("POST", "/event-webhook", json=body)
    text = f"{made['key']} hears events from now on; its secret is {made['secret']}"
    answer(place.as_json, made, lambda out: out.print(text, markup=False))


@placed
def list_webhooks(place: Place) -> None:
    """All webhooks."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found = list(client.pages("/event-webhook"))
    rows = [[each[column] or ("all" if column == "types" else each[column]) for column in _COLUMNS] for each in found]
    answer(place.as_json, found, table(_COLUMNS, rows, empty="There are no event webhooks."))


@placed
def enable(place: Place, key: WebhookKey) -> None:
    """Let a disabled webhook hear events again; what it missed is sent by `replay`."""
    _change(place, key, {"disabled": False})


@placed
def disable(place: Place, key: WebhookKey) -> None:
    """Send a webhook nothing more, also of what waits for it."""
    _change(place, key, {"disabled": True})


@placed
def delete(place: Place, key: WebhookKey) -> None:
    """Take a webhook away."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        client.call("DELETE", f"/event-webhook/{key}")
    answer(place.as_json, {"key": key}, lambda out: out.print(f"{key} is deleted", markup=False))


@placed
def deliveries(
    place: Place,
    key: WebhookKey,
    state: Annotated[str | None, typer.Option(help="waiting, sent or failed.")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    size: Annotated[int, typer.Option(min=1, max=100)] = 50,
) -> None:
    """What was, is, or could not be sent, newest first."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found = client.get(f"/event-webhook/{key}/delivery", state=state, page=page, size=size)
    rows = [[each[column] for column in _DELIVERY] for each in found["items"]]
    answer(place.as_json, found, table(_DELIVERY, rows, empty="There are no such deliveries."))


@placed
def replay(
    place: Place,
    key: WebhookKey,
    after: Annotated[int | None, typer.Option(min=0, help="Everything behind the event of this id.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="What could not be sent.")] = False,
) -> None:
    """Send events again."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    body = {"failed": failed, **({} if after is None else {"after": after})}
    with open_client(place) as client:
        told = client.call("POST", f"/event-webhook/{key}/replay", json=body)
    answer(place.as_json, told, lambda out: out.print(f"{told['events']} are sent again"))


def _change(place: Place, key: str, body: dict[str, Any]) -> None:
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        shown = client.call("PATCH", f"/event-webhook/{key}", json=body)
    text = f"{key} is {'disabled' if shown['disabled'] else 'enabled'}"
    answer(place.as_json, shown, lambda out: out.print(text, markup=False))
