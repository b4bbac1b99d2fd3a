"""`habeas doctor`: looks at an installation and says what is wrong, what is risky, and what would mend it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from habeas.cli.options import Place, placed

if TYPE_CHECKING:
    from habeas.cli.client import Client
    from habeas.core.settings import Settings

FREE_BYTES = 1_000_000_000
# Reserved example values: plans hold identity kinds and no values, and nothing is counted.
_NOBODY = {"email": "nobody@example.org", "phone_number": "+12025550199"}


class Finding(NamedTuple):
    """One thing that was looked at. `level`: ok, warning, error."""

    level: str
    what: str
    found: str
    fix: str = ""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(doctor)


@placed
def doctor(place: Place) -> None:
    """Check settings, keys, database, connections, datasets and policies. Exit code 1 if something is wrong."""
    from habeas.cli.client import open_client
    from habeas.cli.output import Exit, answer, stop, table

    findings = [] if place.server else list(_of_directory(place))
    with open_client(place) as client:
        findings += _of_installation(client)
    told = [finding._asdict() for finding in findings]
    answer(place.as_json, told, table(("", "what", "found", "what helps"), findings, empty=""))
    if any(finding.level == "error" for finding in findings):
        stop(Exit.PROBLEM)


def _of_directory(place: Place) -> Iterator[Finding]:
    from habeas.cli.client import settings_of
    from habeas.core.settings import unknown_variables

    settings = settings_of(place)
    yield Finding("ok", "data directory", str(settings.data_dir))
    for warning in unknown_variables(os.environ):
        yield Finding("warning", "environment", warning)
    yield from _of_files(settings)


def _of_files(settings: Settings) -> Iterator[Finding]:
    import shutil

    if not settings.data_dir.is_dir():
        return
    free = shutil.disk_usage(settings.data_dir).free
    if free < FREE_BYTES:
        yield Finding("warning", "disk", f"{free // 1_000_000} MB free", "an erasure freezes keys on this disk first")
    secret = [settings.data_dir, *settings.data_dir.glob("*.key"), *settings.data_dir.glob("keys/*")]
    for path in secret:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077 and path.is_file():
            yield Finding("error", str(path), f"others may read it (mode {mode:o})", f"chmod 600 {path}")
        elif mode & 0o007:
            yield Finding("warning", str(path), f"others may enter it (mode {mode:o})", f"chmod 700 {path}")


def _of_installation(client: Client) -> Iterator[Finding]:
    health = client.send("GET", "/health")
    level = "ok" if health.status_code == 200 else "error"
    yield Finding(level, "health", ", ".join(f"{k} {v}" for k, v in health.json().items() if not isinstance(v, dict)))
    execution = client.get("/execution")
    if execution["paused"]:
        yield Finding("warning", "execution", "paused; requests wait", "habeas execution resume")
    yield _of_workers(int(execution["workers"]))
    yield from _of_messages(client)
    yield from _of_connections(client)
    yield from _of_policies(client)


def _of_messages(client: Client) -> Iterator[Finding]:
    """Whether codes can be sent where they are asked for, and whether messages were given up."""
    told = client.get("/id-verification/config")
    if told["identity_verification_required"] and not told["valid_email_config_exists"]:
        fix = "see docs/verification.md; habeas message test ADDRESS tries it"
        yield Finding("error", "verification", "is on, but no message can be sent", fix)
    failed = client.get("/email/message", state="failed", size=1)["total"]
    if failed:
        yield Finding("warning", "messages", f"{failed} could not be sent", "habeas message list --state failed")


def _of_workers(alive: int) -> Finding:
    if alive:
        return Finding("ok", "workers", f"{alive} alive")
    return Finding("warning", "workers", "none alive; requests wait", "habeas serve, or habeas worker")


def _of_connections(client: Client) -> Iterator[Finding]:
    from habeas.cli.apply import stored_datasets
    from habeas.cli.category import own_categories

    for connection in client.pages("/connection"):
        key = connection["key"]
        if connection.get("disabled"):
            yield Finding("warning", f"connection {key}", "disabled", "erasures that need it are refused")
            continue
        told = client.get(f"/connection/{key}/test")
        failed = told["test_status"] == "failed"
        reason = str(told.get("failure_reason") or told["test_status"])
        yield Finding("error" if failed else "ok", f"connection {key}", reason)
    yield from _of_datasets(stored_datasets(client), own_categories(client))


def _of_datasets(stored: dict[str, tuple[str, Any]], own: frozenset[str]) -> Iterator[Finding]:
    from habeas.dataset.check import check_datasets
    from habeas.dataset.load import dataset_from

    datasets = [dataset_from(body, where=f"stored {key}", own=own) for key, (_, body) in stored.items()]
    for problem in check_datasets(datasets):
        text = f"{problem.path}: {problem.message}"
        yield Finding(problem.severity, f"dataset {problem.dataset}", text, problem.fix or "")


def _of_policies(client: Client) -> Iterator[Finding]:
    """Whether each policy can be planned, and which of its lookups scan a table."""
    from habeas.cli.client import ApiProblem

    seen: set[tuple[str, str]] = set()
    for policy in client.pages("/policy"):
        if not policy.get("rules"):
            yield Finding("warning", f"policy {policy['key']}", "has no rules", "requests that name it are refused")
            continue
        body = {"policy_key": policy["key"], "identity": _NOBODY}
        try:
            told = client.call("POST", "/privacy-request/plan", json=body, params={"counts": "estimate"})
        except ApiProblem as problem:
            yield Finding("error", f"policy {policy['key']}", str(problem))
            continue
        yield Finding("ok", f"policy {policy['key']}", "can be planned")
        for caution in told["warnings"]:
            mark = (str(caution.get("address")), str(caution.get("fix")))
            if mark not in seen:
                seen.add(mark)
                yield Finding("warning", mark[0], str(caution.get("message")), str(caution.get("fix") or ""))
