"""The command line's way to the API: one client for a server and for a local data directory.

Locally the same application is driven in this process, with a token made for the root client, so both ways
run the same routes and services. Knows no route of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from habeas.core.errors import BadInput, HabeasError, Unavailable

if TYPE_CHECKING:
    import httpx2

    from habeas.cli.options import Place
    from habeas.core.settings import Settings
    from habeas.requests.installation import Installation

API = "/api/v1"
TIMEOUT_SECONDS = 60.0


class ApiProblem(HabeasError):
    """The API said no. `http_status` is its answer's; the message is its `detail`."""

    code: ClassVar[str] = "api_problem"

    def __init__(self, message: str, *, http_status: int, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(message, where=where, fix=fix)
        self.http_status = http_status


class Client:
    """Calls the API. Made by `open_client`; not for use by two threads."""

    def __init__(self, http: httpx2.AsyncClient, runner: asyncio.Runner, installation: Installation | None) -> None:
        self._http = http
        self._runner = runner
        self.installation = installation

    @property
    def is_local(self) -> bool:
        """Whether this works on a data directory of this machine."""
        return self.installation is not None

    def get(self, path: str, **params: object) -> Any:
        """The JSON answer of a GET below `/api/v1`; parameters that are None are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        return self.call("GET", path, params=given)

    def text(self, path: str, **params: object) -> str:
        """The answer of a GET below `/api/v1` as text."""
        given = {name: value for name, value in params.items() if value is not None}
        response = self.send("GET", f"{API}{path}", params=given)
        if not response.is_success:
            _read(response)
        return response.text

    def pages(self, path: str, **params: object) -> Iterator[dict[str, Any]]:
        """The items of all pages of a list."""
        number = 1
        while True:
            page = self.get(path, page=number, size=100, **params)
            yield from page["items"]
            if number * 100 >= page["total"]:
                return
            number += 1

    def call(self, method: str, path: str, *, json: object = None, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON answer, or None where there is none. Raises ApiProblem, or Unavailable if nobody answers."""
        return _read(self.send(method, f"{API}{path}", json=json, params=params))

    def send(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        """One call to any path of the server, as it is answered. Raises Unavailable if nobody answers."""
        import httpx2

        try:
            return self._runner.run(self._http.request(method, path, **arguments))
        except httpx2.TransportError as problem:
            where = str(self._http.base_url)
            raise Unavailable(f"no answer ({type(problem).__name__})", where=where, fix="is habeas serve up?") from None

    def authorise(self, token: str) -> None:
        """Send this token from now on."""
        self._http.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """End the connections."""
        self._runner.run(self._http.aclose())


@contextmanager
def open_client(place: Place) -> Iterator[Client]:
    """A client for this place, authorised. Raises BadInput for missing credentials, Unavailable, ApiProblem."""
    with asyncio.Runner() as runner:
        if place.server:
            with _remote(place, runner) as client:
                yield client
        else:
            with _local(settings_of(place), runner) as client:
                yield client


@contextmanager
def open_blank_client(place: Place) -> Iterator[Client]:
    """A client of what a local place would be after its first start, in a directory of its own that is gone
    afterwards: nothing of the place is made or written.
    """
    elsewhere = {"database_url": None, "spool_url": None}
    with TemporaryDirectory(prefix="habeas-") as folder, asyncio.Runner() as runner:
        settings = settings_of(place).model_copy(update=elsewhere | {"data_dir": Path(folder)})
        with _local(settings, runner, say_root=False) as client:
            yield client


def settings_of(place: Place) -> Settings:
    """The settings of the local installation: as `load_settings`, with the command's own data directory."""
    from habeas.core.settings import load_settings

    settings = load_settings(place.config)
    return settings.model_copy(update={"data_dir": place.data_dir.absolute()}) if place.data_dir else settings


def has_installation(place: Place) -> bool:
    """Whether there is something to ask: a server is named, or the local database exists and was used before.

    Makes nothing. Raises Unavailable where a database server doesn't answer.
    """
    from habeas.store.session import default_url, is_made

    if place.server:
        return True
    settings = settings_of(place)
    return is_made(settings.database_url or default_url(settings.data_dir))


@contextmanager
def _remote(place: Place, runner: asyncio.Runner) -> Iterator[Client]:
    import httpx2

    if not place.client_id or not place.client_secret:
        raise BadInput(
            "a server needs a client", fix="give --client-id and HABEAS_CLIENT_SECRET; serve shows the first one once"
        )
    http = httpx2.AsyncClient(base_url=str(place.server).rstrip("/"), timeout=TIMEOUT_SECONDS)
    client = Client(http, runner, None)
    try:
        form = {"grant_type": "client_credentials"}
        credentials = (place.client_id, place.client_secret)
        token = _read(client.send("POST", f"{API}/oauth/token", data=form, auth=credentials))
        client.authorise(token["access_token"])
        yield client
    finally:
        client.close()


@contextmanager
def _local(settings: Settings, runner: asyncio.Runner, *, say_root: bool = True) -> Iterator[Client]:
    import httpx2

    from habeas.api.app import build_app
    from habeas.cli.root_client import say_root_client
    from habeas.core.log import configure_logging
    from habeas.requests.clients import issue_local_token, open_root_client
    from habeas.requests.installation import open_installation

    configure_logging("WARNING")
    installation = open_installation(settings)
    try:
        if say_root:
            say_root_client(installation)
        else:
            open_root_client(installation.database, installation.clock, settings)
        transport = httpx2.ASGITransport(app=build_app(installation))
        http = httpx2.AsyncClient(transport=transport, base_url="http://habeas.local", timeout=TIMEOUT_SECONDS)
        client = Client(http, runner, installation)
        client.authorise(issue_local_token(installation).access_token)
        yield client
        client.close()
    finally:
        installation.close()


def _read(response: httpx2.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        body = response.json()
    except ValueError:
        body = None
    detail = body.get("detail") if isinstance(body, dict) else None
    where = body.get("where") if isinstance(body, dict) else None
    told = _told(detail, response.status_code)
    place = None if where and told.startswith(str(where)) else where
    raise ApiProblem(told, http_status=response.status_code, where=place)


def _told(detail: object, status: int) -> str:
    """The API's `detail` as one text: it is a sentence, or fidesops' list of faults."""
    if isinstance(detail, str):
        return detail
    if isinstance(detail, list):
        return "\n".join(_fault(fault) for fault in detail)
    return f"the server answered {status}"


def _fault(fault: dict[str, object]) -> str:
    """One fault with its place, which many messages begin with already."""
    loc, message = fault.get("loc"), str(fault.get("msg"))
    parts = [str(part) for part in loc] if isinstance(loc, list) else []
    place = ".".join(parts[1:] if parts[:1] == ["body"] else parts)
    return message if not place or message.startswith(place) else f"{'.'.join(parts)}: {message}"
