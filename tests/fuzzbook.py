"""Every route of the OpenAPI document, called with what the document allows and with what it doesn't.

`Fuzzer` drives an application in this process. What it finds, it collects: an answer of 500, a status, a media type or
a body that the document doesn't have, and words that were stored before and that this token may not see. A route that
is new in the document is called without a line being added here.

    make fuzz SECONDS=600        goes on with other seeds until the time is over, and prints what it found
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import schemathesis.openapi
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.openapi.checks import JsonSchemaError
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import requests
from apibook import ROOT_ID, ROOT_SECRET, Api, open_api
from habeas.requests.scopes import SCOPES

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
STREAM_SECONDS = 1.0

# Stored before the first call; no call sends them.
SECRETS = {
    "a connection's password": "canary-of-a-database-password",
    "a mail server's password": "canary-of-a-mail-password",
    "the root client's secret": "root-secret-of-the-tests",
    "a client's secret": "",  # made by the installation
    "a user's password": "Canary-of-1-user!",
}
PERSONAL = {
    "an e-mail address": "canary.person@example.com",
    "a phone number": "2025550199",
    "an identity of another kind": "canary-customer-77031",
    "an address of a consent": "canary.consent@example.com",
    "a document": "canary-in-a-document",
}
SEES_IDENTITIES = "privacy-request:read"  # where the call asks for them


@dataclass
class Finding:
    """What was wrong with one answer."""

    route: str
    what: str
    call: str

    def __str__(self) -> str:
        return f"{self.route}: {self.what}\n    {self.call}"


@dataclass
class Fuzzer:
    """Calls all operations of an application whose stored things it knows."""

    api: Api
    known: dict[str, str]
    document: dict[str, Any]
    answered: dict[str, set[int]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    found: dict[tuple[str, str], Finding] = field(default_factory=dict)
    number: int = 0

    def run(self, seed: int, examples: int, scopes: frozenset[str] = frozenset(SCOPES)) -> None:
        """Call each operation with so many generated cases, by a token with these scopes. What ends other things'
        lives is called last.
        """
        self.api.token = self.api.token_of(ROOT_ID, ROOT_SECRET)
        client = self.api.client_with(*scopes)
        for operation in sorted(self.operations, key=lambda each: each.method.lower() == "delete"):
            self._operation(operation, seed, examples, client, scopes)

    @cached_property
    def operations(self) -> list[Any]:
        """What schemathesis makes of each operation."""
        return [each.ok() for each in schemathesis.openapi.from_dict(self.document).get_all_operations()]

    def _operation(
        self, operation: Any, seed: int, examples: int, client: tuple[str, str], scopes: frozenset[str]
    ) -> None:
        token = self.api.token_of(*client)
        route = f"{operation.method.upper()} {operation.path}"
        self.number += 1
        caller = f"2001:db8:{self.number:x}::1"  # limits by address are met by what one operation does
        cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in MODES))

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=cases, deep=st.integers(0, 3))
        def call(case: Case, deep: int) -> None:
            if deep:
                case.path_parameters = {**case.path_parameters, **self._known_of(case)}
            self._judge(route, case, token, caller, scopes)

        call()

    def _known_of(self, case: Case) -> dict[str, str]:
        """Path parameters that name something stored."""
        kind = "category" if "/data_category" in case.path else [*case.path.split("/"), "", ""][3]
        found = {name: self.known.get(f"{kind}.{name}", self.known.get(name)) for name in case.path_parameters}
        return {name: value for name, value in found.items() if value is not None}

    def _judge(self, route: str, case: Case, token: str, caller: str, scopes: frozenset[str]) -> None:
        kwargs = case.as_transport_kwargs(base_url="http://habeas.test")
        prepared = requests.Request(**{k: v for k, v in kwargs.items() if k != "cookies"}).prepare()
        headers = {name: str(value) for name, value in prepared.headers.items()}
        headers |= {"X-Forwarded-For": caller, "Authorization": f"Bearer {token}"}
        split = urlsplit(str(prepared.url))
        path = f"{split.path}?{split.query}" if split.query else split.path
        shown = f"{prepared.method} {path} {prepared.body!r}"[:600]
        is_stream = "text/event-stream" in json.dumps(case.operation.definition.raw.get("responses", {}))
        answer = self._send(str(prepared.method), path, headers, prepared.body, is_stream)
        self.calls[route] += 1
        if answer is None:
            return
        self.answered.setdefault(route, set()).add(answer.status_code)
        for what in self.faults(case, answer, path, scopes):
            self.found.setdefault((route, what.splitlines()[0][:80]), Finding(route, what, shown))

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: Any, is_stream: bool) -> Any:
        call = self.api.http.request(method, path, headers=dict(headers), content=body)
        if not is_stream:
            return self.api.runner.run(_within(call, 60))
        try:
            return self.api.runner.run(_within(call, STREAM_SECONDS))
        except TimeoutError:
            return None  # it answers events, for as long as somebody listens

    def faults(self, case: Case, answer: Any, path: str, scopes: frozenset[str]) -> Iterator[str]:
        """What is wrong with an answer."""
        if answer.status_code == 500:
            yield f"500 {answer.text[:200]}"
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            for each in group.exceptions:
                detail = f" {each.validation_message}" if isinstance(each, JsonSchemaError) else ""
                told = f"{answer.headers.get('content-type')} {answer.text[:200]}"
                yield f"{answer.status_code}: {each.title}{detail} – {told}"
        yield from (f"shows {name}" for name, word in SECRETS.items() if word and word in answer.text)
        asked = "include_identities" in path or "download_csv" in path
        if not (asked and SEES_IDENTITIES in scopes):
            yield from (f"shows {name}" for name, word in PERSONAL.items() if word in answer.text)


async def _within(call: Any, seconds: float) -> Any:
    return await asyncio.wait_for(call, seconds)


DATASET = {
    "fides_key": "shop",
    "name": "shop",
    "collections": [
        {
            "name": "person",
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": True}},
                {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}},
            ],
        }
    ],
}


@contextmanager
def fuzzing(folder: Path) -> Iterator[Fuzzer]:
    """A fuzzer over an installation in which one of each thing is stored."""
    for api in open_api(folder, trusted_proxies="127.0.0.0/8", subject_identity_verification_required=True):
        known = _stored(api)
        yield Fuzzer(api, known, dict(api.ok("GET", "/openapi.json", token=None)))


def _stored(api: Api) -> dict[str, str]:
    """One of each thing; the values of path parameters that name them."""
    _connect(api)
    mail = {"name": "mail", "key": "mail", "service_type": "smtp"}
    mail["details"] = {"host": "127.0.0.1", "port": 1, "from_email": "privacy@example.com"}
    api.ok("POST", "/email/config", json=mail)
    secret = {"username": "habeas", "password": SECRETS["a mail server's password"]}
    api.ok("PUT", "/email/config/mail/secret", json=secret)
    client_id, SECRETS["a client's secret"] = api.client_with("scope:read")
    api.token_of(client_id, SECRETS["a client's secret"])
    user = {"username": "somebody", "password": SECRETS["a user's password"]}
    consent = {"email": PERSONAL["an address of a consent"]}
    return {
        "connection_key": "shop",
        "connection_type": "postgres",
        "fides_key": "shop",
        "category.fides_key": "user.contact",
        "policy_key": "download",
        "rule_key": api.ok("GET", "/policy/download/rule")["items"][0]["key"],
        "target_key": _first_target(api),
        "storage.config_key": "local_packages",
        "email.config_key": "mail",
        "client_id": client_id,
        "token_id": api.ok("GET", "/oauth/token", params={"client_id": client_id})["items"][0]["id"],
        "user_id": api.ok("POST", "/user", json=user)["id"],
        "request_id": _request(api),
        "consent_request_id": api.ok("POST", "/consent-request", json=consent)["consent_request_id"],
        "message_id": "1",
        "saas_type": "mailchimp",
        "replay_id": api.call("POST", "/replay", json={"since": "2026-01-01T00:00:00Z"}).json()["id"],
        "verification_id": api.call("POST", "/erasure-verification").json()["id"],
    }


def _connect(api: Api) -> None:
    place = api.installation.settings.data_dir / "shop.db"
    sqlite3.connect(place).close()
    api.saved("/connection", {"name": "shop", "key": "shop", "connection_type": "sqlite", "access": "read"})
    api.saved("/connection", {"name": "db", "key": "db", "connection_type": "postgres", "access": "write"})
    password = SECRETS["a connection's password"]
    address = f"postgresql://habeas:{password}@127.0.0.1:1/none"
    api.ok("PUT", "/connection/db/secret?verify=false", json={"url": address})
    api.ok("PUT", "/connection/shop/secret?verify=false", json={"url": f"sqlite:///{place}"})
    api.saved("/connection/shop/dataset", DATASET)


def _first_target(api: Api) -> str:
    rule = api.ok("GET", "/policy/download/rule")["items"][0]["key"]
    return str(api.ok("GET", f"/policy/download/rule/{rule}/target")["items"][0]["key"])


def _request(api: Api) -> str:
    identity = {"email": PERSONAL["an e-mail address"], "phone_number": "+1" + PERSONAL["a phone number"]}
    identity["customer_id"] = PERSONAL["an identity of another kind"]
    told = api.ok("POST", "/privacy-request", json=[{"policy_key": "download", "identity": identity}])
    assert told["failed"] == []
    made = str(told["succeeded"][0]["id"])
    document = {"storage_key": "local_packages", "data": {"letter": PERSONAL["a document"]}}
    assert api.call("POST", f"/storage/{made}", json=document).status_code == 201
    return made


def main() -> int:
    """Fuzz until the time is over; 1 if anything was found."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=600)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--examples", type=int, default=100)
    given = words.parse_args()
    until, seed, found = time.monotonic() + given.seconds, given.seed, 0
    while time.monotonic() < until and not found:
        with tempfile.TemporaryDirectory() as folder, fuzzing(Path(folder)) as fuzzer:
            fuzzer.run(seed, given.examples)
            found = len(fuzzer.found)
            lines = [f"seed {seed}: {sum(fuzzer.calls.values())} calls, {found} findings", *fuzzer.found.values()]
            sys.stdout.write("\n".join(map(str, lines)) + "\n")
            sys.stdout.flush()
        seed += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
