"""The `email` kind: a processor who erases by hand, on an instruction that is sent by e-mail.

Sending it, and waiting until it is confirmed, is `requests.instructions`' work.
"""

from __future__ import annotations

from typing import ClassVar

from habeas.connectors.instructed import InstructedConnector


class EmailConnector(InstructedConnector):
    """A processor who is told by e-mail what to erase."""

    kind: ClassVar[str] = "email"
    label: ClassVar[str] = "Email Connector"
    listed: ClassVar[bool] = False
