"""Shows the root client once, when it is made, with advice where the keys of the installation lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from habeas.cli.output import say

if TYPE_CHECKING:
    from habeas.requests.installation import Installation


def say_root_client(installation: Installation) -> None:
    """Make the root client known; if this made it, show id and secret: they can't be shown again."""
    from habeas.requests.clients import open_root_client

    root = open_root_client(installation.database, installation.clock, installation.settings)
    if root.secret is None:
        return
    say("The root client was made. Keep its secret now; it is shown only here:")
    say(f"  client_id      {root.client_id}")
    say(f"  client_secret  {root.secret}")
    if installation.settings.app_encryption_key is None:
        say(f"The key that encrypts everything lies in {installation.settings.data_dir}. Back it up apart from the")
        say("database: without it nothing that is encrypted can be read, with it everything can.")
