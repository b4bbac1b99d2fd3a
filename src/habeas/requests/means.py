"""What the configuration services need of an installation. A protocol, so that they never import the installation,
which itself imports them to make the default objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from habeas.connectors.base import Connector
from habeas.core.clock import Clock
from habeas.core.settings import Settings
from habeas.store.secrets import Vault
from habeas.store.session import Database


class SourceRegister(Protocol):
    """Connectors of the stored connections."""

    def connector(self, connection_key: str) -> Connector:
        """The connector of a stored connection; raises NotFound, or BadInput where its secrets are missing."""
        ...

    def forget(self, connection_key: str) -> None:
        """Close what is cached for a connection that changed."""
        ...


class Means(Protocol):
    """The parts of an installation that a configuration service uses."""

    @property
    def settings(self) -> Settings:
        """The settings it was opened with."""
        ...

    @property
    def database(self) -> Database:
        """Our own database."""
        ...

    @property
    def vault(self) -> Vault:
        """Keys, and sealing with them."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def sources(self) -> SourceRegister:
        """The connected systems."""
        ...

    @property
    def wake(self) -> Callable[[], None]:
        """Tells the workers that something may run now; call it after the commit."""
        ...
