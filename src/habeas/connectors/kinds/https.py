"""A service of the company's that is called over HTTP: the target of policy webhooks.

Holds where it is and how calls to it are authorised. Its test is skipped, as in fidesops: a call might have effects.
Opens no connection by itself.
"""

from __future__ import annotations

from typing import NoReturn, cast
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from habeas.connectors.base import CheckResult, Connector, WebhookTarget
from habeas.connectors.outside import OutsideConnector
from habeas.core.errors import NotOffered


class HttpsSecrets(BaseModel):
    """Where the service is: `url`; `authorization`, the value of the header that calls carry; and, for calls that are
    signed, `signing_secret`, which the service knows too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(title="URL", max_length=2048, description="https://service.example.com/privacy")
    authorization: str = Field(
        title="Authorization", min_length=1, max_length=8192, description="value of the Authorization header"
    )

    signing_secret: str | None = Field(
        default=None,
        title="Signing secret",
        min_length=24,
        max_length=512,
        description="what webhooks are signed with; as `whsec_` and base64, or plain text",
    )

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is none, brackets that don't close
            usable = False
        if not usable or parts.username is not None or parts.fragment or not value.isprintable() or " " in value:
            raise ValueError("must be an https:// or http:// URL of a host, without user, password and fragment")
        return value

    @field_validator("authorization")
    @classmethod
    def _fits_a_header(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):
            raise ValueError("must be printable ASCII, as a header's value is")
        return value


class HttpsConnector(OutsideConnector):
    """One service. Safe to share between threads."""

    kind = "https"
    label = "Policy Webhook"
    category = Connector.category
    listed = False
    secrets_model = HttpsSecrets
    capabilities = msgspec.structs.replace(OutsideConnector.capabilities, takes_webhooks=True, calls="url")

    def __init__(self, secrets: BaseModel) -> None:
        self.secrets = cast(HttpsSecrets, secrets)

    def check(self) -> CheckResult:
        """Skipped: nobody says what a call without a request would do."""
        return CheckResult(ok=True, skipped=True)

    def identity(self) -> str:
        """Its URL without query, which may hold what is secret."""
        parts = urlsplit(self.secrets.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def webhook_target(self) -> WebhookTarget:
        """Where the service is, and what proves that we call."""
        return WebhookTarget(self.secrets.url, self.secrets.authorization, self.secrets.signing_secret)

    def _refuse(self) -> NoReturn:
        message = "a service takes webhooks; rows are not asked of it"
        raise NotOffered(message, fix="connect the system that holds them")
