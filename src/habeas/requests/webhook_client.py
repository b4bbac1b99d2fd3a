"""The HTTP client that webhooks are called with: it reaches only addresses that may be called. Knows no webhook."""

from __future__ import annotations

import httpx2

from habeas.core.settings import Settings
from habeas.deliver.webhooks.sending import LARGEST_ANSWER, LONGEST_SECONDS, TIMEOUT
from habeas.egress.client import open_client
from habeas.egress.policy import EgressPolicy


def open_webhook_client(settings: Settings) -> httpx2.Client:
    """A client under the settings' HABEAS_EGRESS_ALLOW. Safe between threads; close it."""
    policy = EgressPolicy(settings.egress_allow)
    return open_client(policy, timeout=TIMEOUT, longest_seconds=LONGEST_SECONDS, largest_answer=LARGEST_ANSWER)
