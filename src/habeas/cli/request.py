"""`habeas request`: hands in privacy requests, lists and shows them, and watches one to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.identities import Identities, read_identities
from habeas.cli.options import Place, placed

if TYPE_CHECKING:
    from rich.console import Console

    from habeas.cli.client import Client

_COLUMNS = ("id", "status", "stage", "outcome", "reason", "policy", "created_at")
RequestId = Annotated[str, typer.Argument(help="Id of the request, pri_…")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="Ids of requests.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Privacy requests.", no_args_is_help=True)
    commands.command()(submit)
    commands.command("list")(list_requests)
    commands.command()(show)
    commands.command()(watch)
    commands.command()(approve)
    commands.command()(deny)
    commands.command()(retry)
    commands.command()(cancel)
    commands.command()(decide)
    commands.command()(resubmit)
    commands.command("soft-delete")(soft_delete)
    commands.command()(purge)
    commands.command()(verify)
    commands.command()(resume)
    commands.command("answer")(answer_question)
    commands.command("confirm-erasure")(confirm_erasure)
    app.add_typer(commands, name="request")


@placed
def submit(
    place: Place,
    policy: Annotated[str, typer.Argument(help="Key of the policy.")],
    identity: Identities,
    external_id: Annotated[str | None, typer.Option(help="Your own id; need not be unique.")] = None,
    encryption_key: Annotated[
        str | None, typer.Option(envvar="HABEAS_PACKAGE_KEY", help="16 bytes that seal the package.")
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A custom field; NAME:=JSON for a number or boolean.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch it to its end.")] = False,
) -> None:
    """Hand in a request. What is answered is durable; a worker executes it. With --wait exit code 1 if it fails."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, say

    item: dict[str, Any] = {"policy_key": policy, "identity": read_identities(identity)}
    optional = {"external_id": external_id, "encryption_key": encryption_key}
    if field:
        item["custom_privacy_request_fields"] = _read_fields(field)
    item |= {name: value for name, value in optional.items() if value is not None}
    with open_client(place) as client:
        request = submit_one(client, item)
        if wait:
            _watch_to_end(client, place, request["id"])
            return
        if client.is_local:
            say(f"It waits for a worker: habeas serve, or habeas request watch {request['id']}")
    answer(place.as_json, request, lambda out: out.print(f"{request['id']} {request['status']}", markup=False))


def _read_fields(given: list[str]) -> dict[str, Any]:
    import json

    from habeas.core.errors import BadInput

    fields: dict[str, Any] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name.rstrip(":"):
            raise BadInput("must be NAME=VALUE or NAME:=JSON", where="--field")
        try:
            fields[name.rstrip(":")] = {"value": json.loads(value) if name.endswith(":") else value}
        except ValueError:
            raise BadInput("is no JSON", where=f"--field {name}") from None
    return fields


def submit_one(client: Client, item: dict[str, Any]) -> dict[str, Any]:
    """Hand in one item; what the API refuses becomes BadInput."""
    from habeas.core.errors import BadInput

    told = client.call("POST", "/privacy-request", json=[item])
    for failure in told["failed"]:
        raise BadInput(failure["message"], where="request")
    request: dict[str, Any] = told["succeeded"][0]
    return request


@placed
def list_requests(
    place: Place,
    status: Annotated[list[str] | None, typer.Option(help="Only these statuses.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Only ids of yours that begin so.")] = None,
    page: Annotated[int, typer.Option(min=1)] = 1,
    size: Annotated[int, typer.Option(min=1, max=100)] = 50,
) -> None:
    """Requests, newest first."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer, table

    with open_client(place) as client:
        found = client.get("/privacy-request", status=status or None, external_id=external_id, page=page, size=size)
    rows = [_row(item) for item in found["items"]]
    answer(place.as_json, found, table(_COLUMNS, rows, empty="There are no such requests."))


@placed
def show(place: Place, request_id: RequestId) -> None:
    """One request with the log of its steps."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer
    from habeas.cli.watching import find_one

    with open_client(place) as client:
        item = find_one(client, request_id)
        logs = list(client.pages(f"/privacy-request/{request_id}/log"))
    answer(place.as_json, item | {"log": logs}, lambda out: _show_request(out, item, logs))


@placed
def watch(place: Place, request_id: RequestId) -> None:
    """Follow a request to its end; locally, execute it if no worker runs. Exit code 1 if it fails."""
    from habeas.cli.client import open_client

    with open_client(place) as client:
        _watch_to_end(client, place, request_id)


@placed
def approve(place: Place, ids: Ids) -> None:
    """Approve requests that wait for it."""
    _administrate(place, "approve", {"request_ids": ids})


@placed
def deny(
    place: Place, ids: Ids, reason: Annotated[str | None, typer.Option(help="Kept in the audit trail.")] = None
) -> None:
    """Deny requests that wait for approval."""
    _administrate(place, "deny", {"request_ids": ids, "reason": reason})


@placed
def retry(place: Place, request_id: RequestId) -> None:
    """Run a request that ended in an error again: plans anew, and repeats nothing that was done."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        item = client.call("POST", f"/privacy-request/{request_id}/retry")
    answer(place.as_json, item, lambda out: out.print(f"{item['id']} {item['status']}", markup=False))


@placed
def cancel(
    place: Place, ids: Ids, reason: Annotated[str | None, typer.Option(help="Kept with the request.")] = None
) -> None:
    """Cancel requests of which nothing is masked yet."""
    _administrate(place, "cancel", {"request_ids": ids, "reason": reason})


@placed
def decide(
    place: Place,
    decision: Annotated[str, typer.Argument(help="approve, deny, cancel or retry.")],
    policy: Annotated[str | None, typer.Option(help="Only of this policy.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only these statuses.")] = None,
    digest: Annotated[str | None, typer.Option(help="Of the preview: decide about what it showed.")] = None,
    reason: Annotated[str | None, typer.Option(help="Kept in the audit trail.")] = None,
) -> None:
    """Decide about all that match: without --digest only shows what that would mean, and the digest to give."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    wanted: dict[str, Any] = {} if policy is None else {"policy_key": policy}
    wanted |= {"status": status} if status else {}
    if digest is not None:
        _administrate(place, decision, {"filter": wanted, "digest": digest, "reason": reason})
        return
    body = {"decision": decision, "filter": wanted}
    with open_client(place) as client:
        told = client.call("POST", "/privacy-request/administrate/preview", json=body)
    lines = [f"{told['count']} of {told['matching']} would move; --digest {told['digest']}"]
    lines += [
        f"{each['count']} of {each['policy_key']} by plan {each['plan_digest'] or each['problem']}"
        for each in told["plans"]
    ]
    answer(place.as_json, told, lambda out: out.print("\n".join(lines), markup=False))


@placed
def resubmit(place: Place, request_id: RequestId) -> None:
    """Hand in a request that ended again, as a new one."""
    _call_one(place, request_id, "resubmit")


@placed
def soft_delete(place: Place, request_id: RequestId) -> None:
    """Hide a request that ended from lists."""
    _call_one(place, request_id, "soft-delete")


@placed
def purge(place: Place, request_id: RequestId) -> None:
    """Destroy what is held of the person in a request that ended. There is no way back."""
    _call_one(place, request_id, "purge")


def _call_one(place: Place, request_id: str, verb: str) -> None:
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        item = client.call("POST", f"/privacy-request/{request_id}/{verb}")
    answer(place.as_json, item, lambda out: out.print(f"{item['id']} {item['status']}", markup=False))


def _administrate(place: Place, verb: str, body: dict[str, Any]) -> None:
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop

    with open_client(place) as client:
        told = client.call("PATCH", f"/privacy-request/administrate/{verb}", json=body)
    lines = [f"{item['id']} {item['status']}" for item in told["succeeded"]]
    lines += [f"failed: {failure['message']}" for failure in told["failed"]]
    answer(place.as_json, told, lambda out: out.print("\n".join(lines), markup=False))
    if told["failed"]:
        stop(Exit.PROBLEM)


def _watch_to_end(client: Client, place: Place, request_id: str) -> None:
    from habeas.cli.output import Exit, answer, stop
    from habeas.cli.watching import follow, working

    with working(client) as check:
        item, logs = follow(client, request_id, check, quiet=place.as_json)
    answer(place.as_json, item | {"log": logs}, lambda out: _show_request(out, item, []))
    if item["status"] != "complete":
        stop(Exit.PROBLEM)


def _row(item: dict[str, Any]) -> list[object]:
    return [item["policy"]["key"] if name == "policy" and item.get("policy") else item.get(name) for name in _COLUMNS]


def _show_request(out: Console, item: dict[str, Any], logs: list[dict[str, Any]]) -> None:
    from habeas.cli.output import table
    from habeas.cli.watching import log_row

    for name in (*_COLUMNS, "external_id", "kept", "not_searched", "packages", "reason_detail"):
        value = item.get(name)
        if value not in (None, [], {}):
            shown = value["key"] if name == "policy" else value
            out.print(f"{name:<14}{shown}", markup=False)
    if logs:
        table(("time", "collection", "action", "status", "rows", "message"), map(log_row, logs), empty="")(out)


@placed
def verify(
    place: Place, request_id: RequestId, code: Annotated[str, typer.Argument(help="The code that was sent.")]
) -> None:
    """Answer the code of a request for somebody who reads it out, on the telephone for instance."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        request = client.call("POST", f"/privacy-request/{request_id}/verify", json={"code": code})
    answer(place.as_json, request, lambda out: out.print(f"{request_id} {request['status']}", markup=False))


@placed
def resume(
    place: Place,
    request_id: RequestId,
    claimed: Annotated[
        str | None, typer.Option(help="Values that nobody vouches for: drop them, or vouch for them.")
    ] = None,
) -> None:
    """Let a request that waits for somebody (requires_input) go on."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    body = None if claimed is None else {"claimed_identities": claimed}
    with open_client(place) as client:
        request = client.call("POST", f"/privacy-request/{request_id}/resume_from_requires_input", json=body)
    answer(place.as_json, request, lambda out: out.print(f"{request_id} {request['status']}", markup=False))


@placed
def answer_question(
    place: Place,
    request_id: RequestId,
    file: Annotated[typer.FileText, typer.Argument(metavar="FILE", help="JSON array of rows; - reads it from stdin.")],
) -> None:
    """Give a paused request the rows that only people can see; [] if there are none."""
    import json

    try:
        rows = json.load(file)
    except ValueError as problem:
        raise typer.BadParameter(f"is not JSON: {problem}", param_hint="FILE") from None
    _answer(place, request_id, "manual_input", rows)


@placed
def confirm_erasure(
    place: Place, request_id: RequestId, rows: Annotated[int, typer.Argument(min=0, help="How many rows are erased.")]
) -> None:
    """Confirm to a paused request that all rows it asks for are erased."""
    _answer(place, request_id, "erasure_confirm", {"row_count": rows})


def _answer(place: Place, request_id: str, verb: str, body: Any) -> None:
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        request = client.call("POST", f"/privacy-request/{request_id}/{verb}", json=body)
    answer(place.as_json, request, lambda out: out.print(f"{request_id} {request['status']}", markup=False))
