"""`habeas demo`: one person's request, answered from end to end before your eyes, and then proven.

Works through the same client and routes as every other command. What is hers is known to the demo from the
data it made (`demo_data`), so the comparison at the end does not take the product's word for anything.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.options import Place

if TYPE_CHECKING:
    from rich.console import Console

    from habeas.cli.client import Client
    from habeas.cli.demo_data import Dump

Check = Callable[[], None]

_MARKER = "made-by-habeas-demo"


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(demo)


def demo(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="Where it lives; made anew each time.")] = Path(".demo"),
) -> None:
    """See a small invented company answer a person's request: preview, access, erasure, proof, receipt."""
    from habeas.cli.client import open_client
    from habeas.cli.demo_data import write_company
    from habeas.cli.output import console
    from habeas.cli.watching import working

    folder = folder.absolute()
    _clear(folder)
    show = Show(console())
    declaration = write_company(folder)
    with open_client(Place(data_dir=folder / "data")) as client, working(client) as check:
        _declare(show, client, declaration)
        _preview(show, client)
        access = _access(show, client, check, folder)
        erasure = _erase(show, client, check, folder)
        _verify_receipts(show, client, folder, access, erasure)
    _goodbye(show, folder)


class Show:
    """What the demo prints: numbered headings, the command that does the same, and text."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._step = 0

    def heading(self, title: str, command: str | None = None) -> None:
        """Begin the next part; `command` is how to do it by hand."""
        self._step += 1
        self._out.print()
        self._out.print(f"[bold cyan]{self._step}. {title}[/]")
        if command:
            self._out.print(f"   $ {command}", style="dim", markup=False)

    def line(self, text: str, style: str | None = None) -> None:
        """One line of text, as it is."""
        self._out.print(f"   {text}", style=style, markup=False)

    def check(self, holds: bool, claim: str) -> None:
        """A claim that was looked at. Ends the demo with exit code 1 if it doesn't hold."""
        from habeas.cli.output import Exit, stop

        self.line(f"{'✓' if holds else '✗'} {claim}", "green" if holds else "bold red")
        if not holds:
            stop(Exit.PROBLEM)


def _clear(folder: Path) -> None:
    from habeas.core.errors import Conflict

    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise Conflict("holds other files", where=str(folder), fix="choose an empty folder: habeas demo --dir …")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARKER).touch()


def _declare(show: Show, client: Client, declaration: Path) -> None:
    from habeas.cli.apply import apply_declaration
    from habeas.cli.declaration import read_declaration

    show.heading("A company describes where personal data lives", f"habeas apply {_short(declaration)}")
    changes = apply_declaration(client, read_declaration([declaration]), dry_run=False)
    made = [change["key"] for change in changes if change["noun"] in ("connection", "dataset", "policy")]
    show.line("two SQLite databases, a shop and a support desk, and two policies: " + ", ".join(dict.fromkeys(made)))


def _preview(show: Show, client: Client) -> None:
    from habeas.cli.demo_data import EMAIL, PHONE
    from habeas.cli.plan import explanation_text

    identity = f"-i email={EMAIL} -i phone_number={PHONE}"
    show.heading("What would be read and written, before anything is", f"habeas plan explain demo_erasure {identity}")
    body = {"policy_key": "demo_erasure", "identity": {"email": EMAIL, "phone_number": PHONE}}
    told = client.call("POST", "/privacy-request/plan", json=body, params={"counts": "exact"})
    for line in explanation_text(told, queries=False).splitlines():
        show.line(line)


def _submit(show: Show, client: Client, check: Check, policy: str) -> dict[str, Any]:
    from habeas.cli.demo_data import EMAIL, PHONE
    from habeas.cli.request import submit_one
    from habeas.cli.watching import follow

    item = {"policy_key": policy, "identity": {"email": EMAIL, "phone_number": PHONE}}
    request = submit_one(client, item)
    ended, _ = follow(client, request["id"], check, quiet=True)
    told = [ended["id"], ended["status"], ended.get("outcome"), ended.get("reason"), ended.get("reason_detail")]
    show.line("  ".join(str(part) for part in told if part))
    return ended


def _access(show: Show, client: Client, check: Check, folder: Path) -> dict[str, Any]:
    show.heading("Access: everything about her, handed over", "habeas request submit demo_access … --wait")
    request = _submit(show, client, check, "demo_access")
    show.check(request["status"] == "complete", "the access request is complete")
    file = folder / "data" / "packages" / f"{request['id']}.json"
    package: dict[str, list[dict[str, Any]]] = json.loads(file.read_text(encoding="utf-8"))
    show.heading("A look into the package", f"cat {_short(file)}")
    for collection, rows in package.items():
        for row in rows:
            values = ", ".join(f"{name}: {value}" for name, value in row.items())
            show.line(f"{collection:<18} {values or '(shared with others: identifying fields withheld)'}")
    text = file.read_text(encoding="utf-8")
    show.check("ada.lindquist@example.com" not in text and "0144" not in text, "nothing of the other Ada is in it")
    show.check("taken in my kitchen" in text and "(202) 555-0143" in text, "replies and the other phone format are")
    return request


def _erase(show: Show, client: Client, check: Check, folder: Path) -> dict[str, Any]:
    from habeas.cli.demo_data import dump

    before = dump(folder)
    show.heading("Erasure: frozen, masked, verified", "habeas request submit demo_erasure … --wait")
    request = _submit(show, client, check, "demo_erasure")
    show.check(request["status"] == "complete", "the erasure is complete, and its own re-scan agrees")
    if request.get("kept"):
        kept = ", ".join(f"{reason} {count}" for reason, count in request["kept"].items())
        show.line(f"kept by rule: {kept} – the household's address, where a neighbour lives too")
    show.heading("Proof: all rows of both databases, before and after")
    after = dump(folder)
    for holds, claim in _comparison(before, after):
        show.check(holds, claim)
    return request


def _comparison(before: Dump, after: Dump) -> Iterator[tuple[bool, str]]:
    from habeas.cli.demo_data import EMAIL, HERS, SHARED

    changed = {
        table: frozenset(key[0] for key in rows if after[table].get(key) != rows[key]) for table, rows in before.items()
    }
    changed = {table: keys for table, keys in changed.items() if keys}
    rows = sum(map(len, HERS.values()))
    yield changed == HERS, f"exactly her {rows} rows changed, in {len(HERS)} tables"
    untouched = sum(map(len, before.values())) - rows
    same = all(after[table].keys() == found.keys() for table, found in before.items())
    yield same, f"no row is gone, none is new; the {untouched} others are as they were, to the letter"
    table, shared = SHARED
    yield after[table][(shared,)] == before[table][(shared,)], "the shared address of the household stayed"
    text = json.dumps([[list(row) for row in found.values()] for found in after.values()]).casefold()
    yield EMAIL not in text, "her e-mail address is nowhere, in any spelling"
    yield "555-0143" not in text, "her phone number is nowhere, in any format"
    yield "kitchen" not in text and "my office" not in text, "what she wrote is nowhere"


def _verify_receipts(show: Show, client: Client, folder: Path, *requests: dict[str, Any]) -> None:
    from habeas.cli.receipt import verdict

    file = folder / "receipt.json"
    show.heading("A receipt that anyone can check, offline", f"habeas receipt verify {_short(file)} --keys keys.json")
    keys = client.send("GET", "/.well-known/habeas-receipt-keys.json").text
    (folder / "keys.json").write_text(keys, encoding="utf-8")
    for request in requests:
        document = client.get(f"/privacy-request/{request['id']}/receipt")
        file.write_text(json.dumps(document, indent=2), encoding="utf-8")
        told = verdict(file.read_text(encoding="utf-8"), keys)
        show.check(told["genuine"], f"receipt of {request['id']}: genuine, head {told.get('head')}")
    forged = json.dumps(_tampered(document))
    show.check(not verdict(forged, keys)["genuine"], "the same receipt with one number changed: refused")


def _tampered(document: dict[str, Any]) -> dict[str, Any]:
    """A copy with the first number of the receipt's body one higher."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    number, put = next(_numbers(copy["receipt"]))
    put(number + 1)
    return copy


def _numbers(value: Any) -> Iterator[tuple[int, Callable[[int], None]]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, inner in items:
        if isinstance(inner, int) and not isinstance(inner, bool):
            yield inner, partial(value.__setitem__, place)
        else:
            yield from _numbers(inner)


def _goodbye(show: Show, folder: Path) -> None:
    show.heading("What next")
    show.line(f"look around            {_short(folder)}: databases, company.yml, receipt.json, data/packages")
    show.line(f"serve this company     habeas serve --data-dir {_short(folder / 'data')}   (API reference at /docs)")
    show.line("your own database      write connections.yml as in README, then")
    show.line("                       habeas apply connections.yml")
    show.line("                       habeas dataset draft mydb -o mydb.yml     # and fill in data_categories")
    show.line("                       habeas apply connections.yml mydb.yml && habeas plan explain download -i email=…")


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
