"""`habeas apply`: makes an installation be as files declare it, and shows the difference.

Objects that the files don't name stay. A policy that they name is made whole: its rules and targets are
exactly those of the file. Secrets can be written but never read back, so they are sent each time, and the
installation tells whether they were others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from habeas.cli.options import Place, placed

if TYPE_CHECKING:
    from rich.console import Console

    from habeas.cli.client import Client
    from habeas.cli.declaration import Body, Declaration

_AS_THEY_WERE = "as they were"

_MARKS = {"create": "+", "change": "~", "remove": "-", "send": ">", "same": "="}


@dataclass(frozen=True)
class Change:
    """One difference between the files and the installation. `what`: create, change, remove, send, same."""

    noun: str
    key: str
    what: str
    fields: tuple[str, ...] = ()
    make: Callable[[], str | None] | None = None  # does it; may answer with a remark

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {"noun": self.noun, "key": self.key, "what": self.what, "fields": list(self.fields)}


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(apply)


@placed
def apply(
    place: Place,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML or JSON files, read as one.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")] = False,
) -> None:
    """Make data categories, connections, storage, datasets and policies be as declared in files. Safe to run again."""
    from habeas.cli.client import has_installation, open_blank_client, open_client
    from habeas.cli.declaration import read_declaration
    from habeas.cli.output import answer

    declared = read_declaration(files)
    is_blank = dry_run and not has_installation(place)
    with open_blank_client(place) if is_blank else open_client(place) as client:
        done = apply_declaration(client, declared, dry_run=dry_run)
    answer(place.as_json, {"dry_run": dry_run, "changes": done}, lambda out: _show(out, done, dry_run))


def apply_declaration(client: Client, declared: Declaration, *, dry_run: bool) -> list[dict[str, Any]]:
    """Make the installation be as declared; gives each change. The first that fails raises; those before it stay."""
    done: list[dict[str, Any]] = []
    for changes in (_categories, _storage, _connections, _datasets, _policies):
        for change in changes(client, declared):
            remark = change.make() if change.make is not None and not dry_run else None
            made = replace(change, what="same") if remark == _AS_THEY_WERE else change
            done.append(made.as_json() | ({"remark": remark} if remark else {}))
    return done


def _show(out: Console, changes: Sequence[Mapping[str, Any]], dry_run: bool) -> None:
    for change in changes:
        fields = f" ({', '.join(change['fields'])})" if change["fields"] else ""
        remark = f" – {change['remark']}" if change.get("remark") else ""
        out.print(f"{_MARKS[change['what']]} {change['noun']} {change['key']}{fields}{remark}", markup=False)
    count = sum(change["what"] != "same" for change in changes)
    same = len(changes) - count
    out.print(f"{count} to do; nothing was written" if dry_run else f"{count} done, {same} as they were")


def _categories(client: Client, declared: Declaration) -> Iterator[Change]:
    """Parents before children, in whatever order the files have them."""
    for key in sorted(declared.data_categories, key=lambda key: (key.count("."), key)):
        body = declared.data_categories[key]
        current = _find(client, f"/data_category/{key}")
        if current is not None and current["is_default"]:
            yield Change("data_category", key, "same")  # a file of fides may list the standard taxonomy too
            continue
        method = "POST" if current is None else "PUT"
        plain = {name: body[name] for name in ("name", "description", "parent_key") if name in body}
        yield _upsert("data_category", key, plain, current, partial(_send, client, method, "/data_category", body))


def _storage(client: Client, declared: Declaration) -> Iterator[Change]:
    for key, body in declared.storage.items():
        current = _find(client, f"/storage/config/{key}")
        plain = {name: value for name, value in body.items() if name != "secrets"}
        yield _upsert("storage", key, plain, current, partial(_patch, client, "/storage/config", plain))
        if "secrets" in body:
            yield _send_secrets(client, "storage", f"/storage/config/{key}", key, body["secrets"])


def _connections(client: Client, declared: Declaration) -> Iterator[Change]:
    for key, body in declared.connections.items():
        current = _find(client, f"/connection/{key}")
        plain = {name: value for name, value in body.items() if name not in ("secrets", "datasets")}
        yield _upsert("connection", key, plain, current, partial(_patch, client, "/connection", plain))
        if "secrets" in body:
            yield _send_secrets(client, "connection", f"/connection/{key}", key, body["secrets"])


def _datasets(client: Client, declared: Declaration) -> Iterator[Change]:
    stored = stored_datasets(client) if declared.datasets else {}
    changes: dict[str, list[Change]] = {}
    bodies: dict[str, list[Body]] = {}
    for key, body in declared.datasets.items():
        held_by, current = stored.get(key, (None, None))
        connection = _connection_of(declared, key, held_by)
        change = _upsert("dataset", key, body, current if held_by == connection else None, _nothing)
        changes.setdefault(connection, []).append(change)
        bodies.setdefault(connection, []).extend([body] if change.what != "same" else [])
    for connection, each in changes.items():
        send = partial(_patch, client, f"/connection/{connection}/dataset", *bodies[connection])
        yield from _made_together(each, send)


def _connection_of(declared: Declaration, dataset: str, held_by: str | None) -> str:
    from habeas.core.errors import BadInput

    connection = declared.connection_of(dataset) or held_by
    if connection is None:
        raise BadInput(
            "no connection has this dataset",
            where=f"{declared.where['datasets', dataset]}: {dataset}",
            fix=f"list it under the datasets of a connection: datasets: [{dataset}]",
        )
    return connection


def _made_together(changes: Sequence[Change], make: Callable[[], str | None]) -> Iterator[Change]:
    """The changes, made by one call with the last of them: datasets of a connection may refer to each other."""
    last = max((index for index, change in enumerate(changes) if change.what != "same"), default=None)
    yield from (replace(change, make=make if index == last else None) for index, change in enumerate(changes))


def stored_datasets(client: Client) -> dict[str, tuple[str, Body]]:
    """All datasets of the installation by key, each with its connection's key."""
    return {
        body["fides_key"]: (connection["key"], body)
        for connection in client.pages("/connection")
        for body in client.pages(f"/connection/{connection['key']}/dataset")
    }


def _policies(client: Client, declared: Declaration) -> Iterator[Change]:
    for key, body in declared.policies.items():
        current = _find(client, f"/policy/{key}")
        plain = {name: value for name, value in body.items() if name not in ("rules", "webhooks")}
        yield _upsert("policy", key, plain, current, partial(_patch, client, "/policy", plain))
        if "rules" in body:
            yield from _rules(client, key, body["rules"], current or {})
        for phase, hooks in body.get("webhooks", {}).items():
            yield _webhooks(client, key, phase, hooks, exists=current is not None)


def _webhooks(client: Client, policy: str, phase: str, hooks: Sequence[Any], *, exists: bool) -> Change:
    """The webhooks of a phase: exactly those of the file, in its order."""
    path = f"/policy/{policy}/webhook/{phase}"
    stored = [_webhook_of(each) for each in client.pages(path)] if exists else []
    wanted = [
        {name: value for name, value in each.items() if name in hook} if isinstance(hook, Mapping) else each
        for each, hook in zip(stored, hooks, strict=False)
    ]
    same = len(stored) == len(hooks) and all(one == dict(hook) for one, hook in zip(wanted, hooks, strict=True))
    if same:
        return Change("webhooks", f"{policy} {phase}", "same")
    what = "change" if stored else "create"
    return Change("webhooks", f"{policy} {phase}", what, (), partial(_send, client, "PUT", path, list(hooks)))


def _webhook_of(shown: Body) -> Body:
    """A webhook that was read, in the shape of a declared one."""
    names = ("key", "name", "direction")
    return {name: shown[name] for name in names} | {"connection_config_key": shown["connection_config"]["key"]}


def _rules(client: Client, policy: str, rules: Sequence[Body], current: Body) -> Iterator[Change]:
    path = f"/policy/{policy}/rule"
    known = {rule["key"]: rule for rule in current.get("rules", [])}
    wanted = {rule["key"] for rule in rules}
    for key in known:
        if key not in wanted:
            yield Change("rule", key, "remove", (), partial(_delete, client, f"{path}/{key}"))
    for rule in rules:
        key = rule["key"]
        plain = {name: value for name, value in rule.items() if name != "targets"}
        now = _comparable(known[key], plain) if key in known else None
        yield _upsert("rule", key, plain, now, partial(_patch, client, path, plain))
        yield from _targets(client, f"{path}/{key}/target", key, rule.get("targets", []), known.get(key, {}))


def _targets(client: Client, path: str, rule: str, targets: Sequence[Any], current: Body) -> Iterator[Change]:
    bodies = [{"data_category": target} if isinstance(target, str) else dict(target) for target in targets]
    known = {target["data_category"]: target for target in current.get("targets", [])}
    wanted = {body.get("data_category") for body in bodies}
    for category, target in known.items():
        if category not in wanted:
            key = target["key"]
            yield Change("target", f"{rule} {category}", "remove", (), partial(_delete, client, f"{path}/{key}"))
    for body in bodies:
        category = body.get("data_category")
        name = f"{rule} {category}"
        full = {"key": name.replace(" ", "_").replace(".", "_"), "name": name} | body
        if category in known:
            yield Change("target", name, "same")
        else:
            yield Change("target", name, "create", (), partial(_patch, client, path, full))


def _comparable(stored: Body, declared: Body) -> Body:
    """The stored rule in the shape of a declared one. The configuration of a strategy is never shown: it is
    taken as declared where the strategy is the same.
    """
    shown = dict(stored)
    destination = stored.get("storage_destination") or {}
    shown["storage_destination_key"] = destination.get("key")
    strategy = (stored.get("masking_strategy") or {}).get("strategy")
    declared_strategy = declared.get("masking_strategy")
    if isinstance(declared_strategy, Mapping) and declared_strategy.get("strategy") == strategy:
        shown["masking_strategy"] = None if declared_strategy.get("configuration") else declared_strategy
    return shown


def _upsert(noun: str, key: str, body: Body, current: Body | None, make: Callable[[], str | None]) -> Change:
    if current is None:
        return Change(noun, key, "create", (), make)
    fields = _differing(body, current)
    return Change(noun, key, "change", fields, make) if fields else Change(noun, key, "same")


def _differing(body: Body, current: Body) -> tuple[str, ...]:
    return tuple(name for name, value in body.items() if current.get(name) != value)


def _send_secrets(client: Client, noun: str, path: str, key: str, secrets: Mapping[str, Any]) -> Change:
    def make() -> str | None:
        told = client.call("PUT", f"{path}/secret", json=secrets, params={"verify": False}) or {}
        if told.get("changed") is False:
            return _AS_THEY_WERE
        return _test(client, path) if noun == "connection" else None

    return Change(f"secrets of {noun}", key, "send", tuple(secrets), make)


def _test(client: Client, path: str) -> str:
    told = client.get(f"{path}/test")
    reason = told["failure_reason"]
    return f"test {told['test_status']}" + (f": {reason}" if reason else "")


def _find(client: Client, path: str) -> Body | None:
    from habeas.cli.client import ApiProblem

    try:
        found: Body = client.get(path)
    except ApiProblem as problem:
        if problem.http_status != 404:
            raise
        return None
    return found


def _patch(client: Client, path: str, *bodies: Body) -> str | None:
    """Send one bulk call; its first failure becomes our error, its warnings a remark."""
    from habeas.core.errors import BadInput

    told = client.call("PATCH", path, json=list(bodies))
    for failure in told.get("failed", []):
        raise BadInput(failure["message"], where=path)
    warnings = [str(warning) for warning in told.get("warnings") or []]
    return "; ".join(warnings) or None


def _send(client: Client, method: str, path: str, body: Body | list[Any]) -> None:
    client.call(method, path, json=body)


def _nothing() -> None:
    """Stands where another change does the work."""


def _delete(client: Client, path: str) -> None:
    client.call("DELETE", path)
