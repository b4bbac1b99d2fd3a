"""An opened installation: settings, our own database, the vault, the clock, the sources, the spool's place, and how
to wake workers.

Built at the edge and handed down; nothing here is global. Opening migrates the database and makes the
default objects once. Never starts a thread or a server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from sqlalchemy.engine import Connection

from habeas.core.clock import Clock, SystemClock
from habeas.core.deadline import load_regimes
from habeas.core.errors import Unavailable
from habeas.core.settings import Settings
from habeas.plan.model import Plan
from habeas.requests.planner import Planner
from habeas.requests.policies import make_defaults
from habeas.requests.sources import Sources
from habeas.spool.medium import Medium
from habeas.spool.place import open_medium
from habeas.store import plans, switches
from habeas.store.app_key import check_app_key
from habeas.store.receipts import LastHead
from habeas.store.secrets import Vault, open_vault
from habeas.store.session import Database, default_url
from habeas.store.wake import Waker

_DEFAULTS_MADE = "defaults_made"


@dataclass(frozen=True)
class Installation:
    """Everything a service needs. Safe to share between threads; a context manager that closes itself."""

    settings: Settings
    database: Database
    vault: Vault
    clock: Clock
    sources: Sources
    planner: Planner
    waker: Waker
    medium: Medium  # where the frames of running cohorts lie
    heads: LastHead = field(default_factory=LastHead)

    @property
    def wake(self) -> Callable[[], None]:
        """Tells workers that there is something to do; call it after the commit. Never fails."""
        return self.waker.send

    def plan(self, connection: Connection, digest: str) -> Plan:
        """The plan of a digest: from memory, else as stored. Raises NotFound."""
        made = self.planner.made(digest)
        if made is None:
            made = plans.get(connection, digest)
            self.planner.keep(digest, made)
        return made

    def close(self) -> None:
        """Close connections to the sources and to our database; safe to call twice."""
        self.sources.close()
        self.waker.close()
        self.database.close()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_installation(settings: Settings, *, clock: Clock | None = None) -> Installation:
    """Open, migrate, and make the default objects where that was never done. Safe from several processes.

    Raises BadInput or Unavailable that say what of the settings is wrong or out of reach.
    """
    load_regimes(settings.regimes_file)  # what is wrong with the file is said now, not at the first request
    _make_data_dir(settings.data_dir)
    medium = open_medium(settings.spool_url, settings.data_dir / "spool")
    vault = open_vault(settings)
    database = Database.open(settings.database_url or default_url(settings.data_dir))
    try:
        database.migrate()
        time = clock or SystemClock()
        with database.begin() as connection:
            check_app_key(connection, time, vault)
        _make_defaults(database, time, vault)
    except BaseException:
        database.close()
        raise
    sources = Sources(database, vault, settings)
    planner = Planner(database, vault, sources, settings.phone_region)
    return Installation(settings, database, vault, time, sources, planner, Waker(database, settings.data_dir), medium)


def _make_data_dir(data_dir: Path) -> None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        reason = "is no directory" if data_dir.exists() else f"can't be made: {problem.strerror}"
        fix = "name a directory in HABEAS_DATA_DIR that this user may make and write"
        raise Unavailable(reason, where=f"data directory {data_dir}", fix=fix) from None


def _make_defaults(database: Database, clock: Clock, vault: Vault) -> None:
    with database.read() as connection:
        if switches.is_on(connection, _DEFAULTS_MADE):
            return
    with database.begin() as connection:
        if switches.turn_on(connection, _DEFAULTS_MADE, clock.now()):
            make_defaults(connection, clock, vault)
