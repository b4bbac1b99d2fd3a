"""What every command has in common: where it works (a server, or a local data directory) and how it answers.

The common options belong to each command, so they may stand after its name and its help shows them; they
are declared here once. Nothing is opened here: a `Place` only says where.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec

import typer

P = ParamSpec("P")

_PANEL = "Where and how"

Server = Annotated[
    str | None,
    typer.Option("--server", envvar="HABEAS_SERVER", help="Call this server, not a local data directory.",
                 metavar="URL", rich_help_panel=_PANEL),
]  # fmt: skip
ClientId = Annotated[
    str | None,
    typer.Option("--client-id", envvar="HABEAS_CLIENT_ID", help="OAuth client, with --server.", rich_help_panel=_PANEL),
]
ClientSecret = Annotated[
    str | None,
    typer.Option("--client-secret", envvar="HABEAS_CLIENT_SECRET", help="Its secret; better by the variable.",
                 show_envvar=True, rich_help_panel=_PANEL),
]  # fmt: skip
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Work on this data directory (or HABEAS_DATA_DIR).", metavar="DIR",
                 rich_help_panel=_PANEL),
]  # fmt: skip
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file (default: habeas.toml here).", metavar="FILE", rich_help_panel=_PANEL),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.", rich_help_panel=_PANEL)]


@dataclass(frozen=True)
class Place:
    """Where a command works and how it answers."""

    server: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    data_dir: Path | None = None
    config: Path | None = None
    as_json: bool = False


def placed(command: Callable[Concatenate[Place, P], None]) -> Callable[..., None]:
    """A command that takes the common options too and hands them over as its first argument, a `Place`."""

    def with_options(
        *,
        server: Server = None,
        client_id: ClientId = None,
        client_secret: ClientSecret = None,
        data_dir: DataDir = None,
        config: ConfigFile = None,
        as_json: AsJson = False,
        **arguments: object,
    ) -> None:
        place = Place(server, client_id, client_secret, data_dir, config, as_json)
        run: Callable[..., None] = command
        run(place, **arguments)

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    common = list(inspect.signature(with_options, eval_str=True).parameters.values())[:-1]
    keyworded = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own + common]
    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__signature__ = inspect.Signature(keyworded)  # type: ignore[attr-defined]  # as inspect looks for it
    with_options.__annotations__ = {p.name: p.annotation for p in keyworded}
    return with_options
