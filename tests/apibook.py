"""An installation on SQLite, its application, and a caller that drives it in process, without a socket.

Its clock stands still until a test moves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from habeas.api.app import build_app
from habeas.core.clock import FixedClock
from habeas.core.settings import Settings
from habeas.requests.clients import open_root_client
from habeas.requests.installation import Installation, open_installation

ROOT_ID, ROOT_SECRET = "root", "root-secret-of-the-tests"
UNSET: Any = object()
AS_THEY_ARE = ("/api/", "/health", "/metrics", "/docs", "/openapi", "/.")


@dataclass
class Api:
    """Calls the application. `token` is the root client's and is sent unless another, or None, is given."""

    installation: Installation
    clock: FixedClock
    http: httpx2.AsyncClient
    runner: asyncio.Runner
    token: str = ""

    def call(self, method: str, path: str, *, token: str | None = UNSET, **arguments: Any) -> httpx2.Response:
        """One call; paths without a leading `/.`, `/health`, … are below `/api/v1`."""
        sent = self.token if token is UNSET else token
        headers = dict(arguments.pop("headers", {}))
        if sent is not None:
            headers.setdefault("Authorization", f"Bearer {sent}")
        full = path if path.startswith(AS_THEY_ARE) else f"/api/v1{path}"
        return self.runner.run(self.http.request(method, full, headers=headers, **arguments))

    def ok(self, method: str, path: str, **arguments: Any) -> Any:
        """The JSON of a call that must succeed."""
        answer = self.call(method, path, **arguments)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def saved(self, path: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
        """What a bulk PATCH saved; nothing may have failed."""
        told = self.ok("PATCH", path, json=list(items))
        assert told["failed"] == []
        return list(told["succeeded"])

    def failure(self, path: str, item: dict[str, Any]) -> str:
        """The message with which a bulk PATCH refused its one item; the item comes back."""
        told = self.ok("PATCH", path, json=[item])
        assert told["succeeded"] == []
        assert told["failed"][0]["data"] == item
        return str(told["failed"][0]["message"])

    def client_with(self, *scopes: str) -> tuple[str, str]:
        """A new client with these scopes: id and secret."""
        made = self.ok("POST", "/oauth/client", json=list(scopes))
        return made["client_id"], made["client_secret"]

    def token_of(self, client_id: str, secret: str, **form: str) -> str:
        """A token for a client."""
        form |= {"client_id": client_id, "client_secret": secret}
        return str(self.ok("POST", "/oauth/token", token=None, data=form)["access_token"])

    def token_with(self, *scopes: str) -> str:
        """A token of a new client with these scopes."""
        return self.token_of(*self.client_with(*scopes))


def open_api(data_dir: Path, **settings: Any) -> Iterator[Api]:
    """An application of its own over a fresh data directory; ends it afterwards."""
    chosen = Settings(data_dir=data_dir, oauth_root_client_id=ROOT_ID, oauth_root_client_secret=ROOT_SECRET, **settings)
    clock = FixedClock(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    with asyncio.Runner() as runner, open_installation(chosen, clock=clock) as installation:
        open_root_client(installation.database, clock, chosen)
        transport = httpx2.ASGITransport(app=build_app(installation))
        http = httpx2.AsyncClient(transport=transport, base_url="http://habeas.test")
        api = Api(installation, clock, http, runner)
        api.token = api.token_of(ROOT_ID, ROOT_SECRET)
        yield api
        runner.run(http.aclose())
