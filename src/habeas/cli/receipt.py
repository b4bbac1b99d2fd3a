"""`habeas receipt`: shows receipts, verifies one without any server, and publishes the head of their chain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.options import ConfigFile, DataDir, Place, placed

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands = typer.Typer(help="Signed proofs of what was done.", no_args_is_help=True)
    commands.command()(show)
    commands.command()(verify)
    commands.command()(head)
    commands.command()(chain)
    app.add_typer(commands, name="receipt")


@placed
def show(
    place: Place,
    request_id: Annotated[str, typer.Argument(help="Id of the request, pri_…")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
) -> None:
    """The receipt of a request, as `receipt verify` takes it."""
    from habeas.cli.client import open_client
    from habeas.cli.output import say

    with open_client(place) as client:
        document = client.get(f"/privacy-request/{request_id}/receipt")
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        say(f"written to {output}")


@placed
def head(place: Place) -> None:
    """The newest signed head. Publish it: a dropped end of the chain shows only against a published head."""
    from habeas.cli.client import open_client
    from habeas.cli.output import answer

    with open_client(place) as client:
        now = client.get("/receipt/head")
    answer(place.as_json, now, lambda out: out.print(json.dumps(now, indent=2), markup=False))


@placed
def chain(
    place: Place,
    output: Annotated[Path, typer.Option("--output", "-o", help="Write it to this file.")],
) -> None:
    """All signed heads, oldest first, as `docs/verify` checks them offline."""
    from habeas.cli.client import open_client
    from habeas.cli.output import say

    heads: list[dict[str, Any]] = []
    with open_client(place) as client:
        while more := client.get("/receipt/chain", after=len(heads))["heads"]:
            heads += more
    output.write_text(json.dumps({"heads": heads}, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"{len(heads)} heads written to {output}")


def verify(
    *,
    file: Annotated[Path, typer.Argument(help="A receipt, as `receipt show` writes it.")],
    keys: Annotated[
        Path | None,
        typer.Option(help="The installation's public keys: what it serves at /.well-known/habeas-receipt-keys.json."),
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Check a receipt's signature and its place in the chain's head, offline.

    The signer is known by --keys, else by the key files of the data directory. Exit code 1 unless it is genuine:
    unchanged, and signed by a known key.
    """
    from habeas.cli.client import settings_of
    from habeas.cli.declaration import read_file
    from habeas.cli.output import Exit, answer, stop
    from habeas.store.secrets import public_keys_in

    text = read_file(file)
    if keys is not None:
        told = verdict(text, read_file(keys))
    else:
        told = verdict(text, None, own=public_keys_in(settings_of(Place(data_dir=data_dir, config=config)).data_dir))
    answer(as_json, told, lambda out: _show_verdict(out, told))
    if not told["genuine"]:
        stop(Exit.PROBLEM)


def verdict(receipt: str, keys: str | None, *, own: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """Whether the text of a receipt is genuine, by the text of a keys file or else by `own` keys (raw, by id).

    `genuine`: True if signed by one of these, False if changed or refused, None if unchanged since it was signed by
    the key that it carries itself, which anybody can make: `signer` is then unknown.
    """
    from habeas.core.errors import BadInput
    from habeas.store.receipt_format import (
        embedded_keys,
        read_keys_document,
        read_receipt_document,
        verify_receipt_document,
    )

    try:
        given = read_keys_document(json.loads(keys)) if keys is not None else None
    except ValueError:
        raise BadInput("is not JSON", where="--keys") from None
    trusted = own or {} if given is None else given
    try:
        document = read_receipt_document(receipt)
        carried = embedded_keys(document) if given is None else {}
        found = verify_receipt_document(document, {**carried, **trusted})
    except BadInput as problem:
        return {"genuine": False, "signer": "unknown", "problem": str(problem)}
    known = found.key_id in trusted
    told = {"genuine": True if known else None, "signer": "known" if known else "unknown"}
    return told | {"head": found.head, "key_id": found.key_id, "time": found.time}


def _show_verdict(out: Console, told: dict[str, Any]) -> None:
    if told["genuine"] is False:
        out.print(f"NOT GENUINE: {told['problem']}", markup=False)
        return
    place = f"signed by key {told['key_id']}, in head {told['head']} of {told['time']}."
    if told["genuine"]:
        out.print(f"Genuine: {place}", markup=False)
        return
    out.print(f"Unchanged since it was {place}", markup=False)
    out.print("The signer isn't known: anybody can sign with a key of their own. Compare with --keys.", markup=False)
