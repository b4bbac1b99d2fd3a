"""A real `habeas serve` for tests and benchmarks, driven over HTTP as its users do.

Starts the server as a process of its own on a free loopback port, with its own data directory, and stops or
kills it. `Api` speaks the documented routes; nothing of habeas is imported here.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

ROOT = {"HABEAS_OAUTH_ROOT_CLIENT_ID": "root", "HABEAS_OAUTH_ROOT_CLIENT_SECRET": "root-secret-of-the-tests"}
FINAL = {"complete", "error", "denied", "canceled", "requires_input", "paused"}


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Api:
    """The HTTP API as a client with the root's scopes sees it."""

    def __init__(self, base: str) -> None:
        self.http = httpx2.Client(base_url=base, timeout=60)

    def sign_in(self) -> None:
        """Get a token for the root client."""
        form = {
            "grant_type": "client_credentials",
            "client_id": ROOT["HABEAS_OAUTH_ROOT_CLIENT_ID"],
            "client_secret": ROOT["HABEAS_OAUTH_ROOT_CLIENT_SECRET"],
        }
        answer = self.http.post("/api/v1/oauth/token", data=form)
        answer.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """One call that must be answered 2xx; the JSON of the answer, None where it has none."""
        answer = self.http.request(method, f"/api/v1{path}", json=body, params=params)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json() if answer.content else None

    def patch_all(self, path: str, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        """A bulk call in which every item must succeed."""
        answer = self.call("PATCH", path, list(items))
        assert not answer["failed"], answer["failed"]
        return answer["succeeded"]

    def connect(self, key: str, kind: str, secrets: Mapping[str, Any], access: str = "write") -> None:
        """Make a connection and test it."""
        self.patch_all("/connection", [{"name": key, "key": key, "connection_type": kind, "access": access}])
        told = self.call("PUT", f"/connection/{key}/secret", dict(secrets))
        assert told["test_status"] == "succeeded", told

    def describe(self, connection: str, *datasets: Mapping[str, Any]) -> None:
        """Store datasets of a connection."""
        self.patch_all(f"/connection/{connection}/dataset", datasets)

    def access_policy(self, key: str, targets: Sequence[str], storage: Mapping[str, Any] | None = None) -> None:
        """Make a policy with one access rule; by default its packages go to the local destination `packages`."""
        place = dict(storage or {"name": "packages", "key": "packages", "type": "local", "details": {}})
        self.patch_all("/storage/config", [place])
        self._policy(key, {"action_type": "access", "storage_destination_key": place["key"]}, targets, "access")

    def erasure_policy(self, key: str, targets: Sequence[str], strategy: Mapping[str, Any] | None = None) -> None:
        """Make a policy with one erasure rule, or add that rule to a policy that exists."""
        chosen = dict(strategy or {"strategy": "null_rewrite", "configuration": {}})
        self._policy(key, {"action_type": "erasure", "masking_strategy": chosen}, targets, "erasure")

    def _policy(self, key: str, rule: Mapping[str, Any], targets: Sequence[str], action: str) -> None:
        self.patch_all("/policy", [{"name": key, "key": key}])
        name = f"{key}_{action}"
        self.patch_all(f"/policy/{key}/rule", [{"name": name, "key": name, **rule}])
        wanted = [
            {"name": f"{name}_{each}", "key": f"{name}_{each.replace('.', '_')}", "data_category": each}
            for each in targets
        ]
        self.patch_all(f"/policy/{key}/rule/{name}/target", wanted)

    def submit(self, policy: str, *identities: Mapping[str, Any], **more: Any) -> list[str]:
        """Submit one request per identity object; their ids."""
        items = [{"policy_key": policy, "identity": dict(each), **more} for each in identities]
        answer = self.call("POST", "/privacy-request", items)
        assert not answer["failed"], answer["failed"]
        return [each["id"] for each in answer["succeeded"]]

    def show(self, request_id: str) -> dict[str, Any]:
        """The request as the documented watch shows it."""
        (item,) = self.call("GET", "/privacy-request", id=request_id)["items"]
        return item

    def wait(self, request_id: str, seconds: float = 60) -> dict[str, Any]:
        """The request once it is at rest."""
        deadline = time.monotonic() + seconds
        pause = 0.02
        while True:
            item = self.show(request_id)
            if item["status"] in FINAL:
                return item
            assert time.monotonic() < deadline, f"still {item['status']}/{item['stage']} after {seconds} s"
            time.sleep(pause)
            pause = min(pause * 1.25, 0.15)  # asking takes the machine from what is waited for

    def run(self, policy: str, identity: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Submit one request and wait for its end."""
        (request_id,) = self.submit(policy, identity, **more)
        return self.wait(request_id)


class Server:
    """One `habeas serve` on a data directory; restarted on the same port."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.settings = dict(settings or {})
        self.api = Api(f"http://127.0.0.1:{self.port}")
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data_dir.parent / f"{data_dir.name}.log"

    def environment(self) -> dict[str, str]:
        """What the server's processes are started with; other commands of habeas then act on its data directory."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("HABEAS_")},
            **ROOT,
            "HABEAS_DATA_DIR": str(self.data_dir),
            "HABEAS_PORT": str(self.port),
            **self.settings,
        }

    def run(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a `habeas` command that writes to the server's log; `more` are further variables."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "habeas", *arguments],
                env=self.environment() | more,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, *options: str, crash_at: str | None = None, seconds: float = 30, sign_in: bool = True) -> None:
        """Start and wait until it takes requests. `crash_at`: the boundary at which a process kills itself."""
        self.process = self.run("serve", *options, **({"HABEAS_CRASH_AT": crash_at} if crash_at else {}))
        deadline = time.monotonic() + seconds
        while not self._healthy():
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"not ready after {seconds} s: {self.log.read_text()[-3000:]}"
            time.sleep(0.02)
        if sign_in:
            self.api.sign_in()

    def _healthy(self) -> bool:
        try:
            return self.api.http.get("/health", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """Kill -9 the server and its worker."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def wait_for_crash(self, seconds: float = 30) -> None:
        """Until a process of the server has killed itself, as `crash_at` asked; it says so in its log."""
        deadline = time.monotonic() + seconds
        while self.process is not None and self.process.poll() is None and not self._worker_died():
            assert time.monotonic() < deadline, f"nothing crashed within {seconds} s: {self.log.read_text()[-3000:]}"
            time.sleep(0.02)

    def _worker_died(self) -> bool:
        lines = self.log.read_text().splitlines()
        return any("the worker ended; starting it again" in line and '"code": -9' in line for line in lines)

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM, and wait for the clean end; its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def package(self, request_id: str) -> dict[str, list[dict[str, Any]]]:
        """The JSON package of a request."""
        return json.loads((self.data_dir / "packages" / f"{request_id}.json").read_bytes())

    def zip_names(self, request_id: str) -> list[str]:
        """The entries of a CSV package."""
        with zipfile.ZipFile(self.data_dir / "packages" / f"{request_id}.zip") as archive:
            return archive.namelist()


@contextmanager
def serving(data_dir: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A started server, killed at the end."""
    server = Server(data_dir, settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
