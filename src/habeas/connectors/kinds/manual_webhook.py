"""The `manual_webhook` kind: something only a person can look up. What is asked of her is the connection's manual
webhook, in `requests.manual_webhooks`; it takes no secrets.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict

from habeas.connectors.base import Capabilities
from habeas.connectors.outside import OutsideConnector


class NoSecrets(BaseModel):
    """Takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ManualWebhookConnector(OutsideConnector):
    """A person's answers to an access request."""

    kind: ClassVar[str] = "manual_webhook"
    label: ClassVar[str] = "Manual Webhook"
    secrets_model: ClassVar[type[BaseModel]] = NoSecrets
    capabilities: ClassVar[Capabilities] = msgspec.structs.replace(OutsideConnector.capabilities, asks_fields=True)

    def __init__(self, secrets: BaseModel) -> None:
        self._secrets = secrets
