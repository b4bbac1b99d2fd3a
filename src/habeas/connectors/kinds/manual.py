"""Systems that only people can reach: a filing cabinet, a program without an interface.

A request waits until a person gives the rows, and again until a person confirms that they are erased. Habeas can't look
whether they are, and says so. Has no secrets.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from habeas.connectors.answered.connector import AnsweredConnector
from habeas.connectors.base import CheckResult


class ManualSecrets(BaseModel):
    """None."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ManualConnector(AnsweredConnector):
    """Everything behind it is asked of people."""

    kind = "manual"
    label = "Manual Connector"
    category = "manual"
    listed = False
    secrets_model = ManualSecrets

    def __init__(self, secrets: BaseModel) -> None:
        """There is nothing to keep."""

    def check(self) -> CheckResult:
        """Skipped: there is nothing that could be tried."""
        return CheckResult(ok=True, skipped=True)

    def identity(self) -> str:
        """One name for all: none of them is a system that habeas reaches."""
        return "manual:"
