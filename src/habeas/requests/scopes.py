"""Scopes, what each lets a caller do, and the roles of users: named bundles of scopes. Plain values.

A role says what a person's work needs, and nothing a role holds goes beyond the scopes there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def _scopes() -> tuple[str, ...]:
    crud = ("create_or_update", "read", "delete")
    verbs: dict[str, tuple[str, ...]] = {
        "audit": ("read",),
        "client": ("create", "update", "read", "delete"),
        "config": ("read",),
        "connection": (*crud, "authorize", "instantiate"),
        "connection_type": ("read",),
        "consent": ("read",),
        "data_category": crud,
        "dataset": crud,
        "email": crud,
        "encryption": ("exec",),
        "erasure-verification": ("create", "read"),
        "event": ("read",),
        "execution": ("read", "update"),
        "masking": ("exec",),
        "policy": crud,
        "privacy-request": ("create", "read", "delete", "resume", "review", "upload_data", "view_data", "download"),
        "receipt": ("read",),
        "replay": ("create", "read"),
        "report": ("read",),
        "rule": crud,
        "saas_config": crud,
        "scope": ("read",),
        "storage": crud,
        "user": ("create", "update", "read", "delete", "reset-password"),
        "user-permission": ("create", "update", "read"),
        "webhook": crud,
    }
    return tuple(sorted(f"{noun}:{verb}" for noun, words in verbs.items() for verb in words))


SCOPES = _scopes()
"""All scopes, sorted: fidesops' 49 and ours in the same form."""

EVERY_SCOPE = "*"  # stored for the root client, so that it holds what later versions add

OWN_PASSWORD = "user:reset-password"  # noqa: S105 – a scope's name; it changes one's own password, so every role has it

_OWNERS_ONLY = ("client:", "user:", "user-permission:", "config:", "audit:", "email:", "storage:", "replay:")
_READERS_TOO = frozenset({"user:read", "storage:read", "email:read"})


def _roles() -> dict[str, frozenset[str]]:
    own = {OWN_PASSWORD}
    daily = {each for each in SCOPES if not each.startswith(_OWNERS_ONLY)}
    viewer = {each for each in daily if each.endswith(":read")} | _READERS_TOO | own
    review = ("create", "read", "review", "resume", "upload_data", "view_data", "download")
    approver = {f"privacy-request:{verb}" for verb in review} | {"policy:read", "rule:read", "user:read"} | own
    return {
        "owner": frozenset(SCOPES),
        "contributor": frozenset(daily | viewer),
        "viewer": frozenset(viewer),
        "approver": frozenset(approver),
        "viewer_and_approver": frozenset(viewer | approver),
        "respondent": frozenset({"privacy-request:upload_data", "privacy-request:view_data"} | own),
    }


ROLES = _roles()
"""What each role holds: `owner` everything; `contributor` all but people, clients, settings, messages and storage;
`viewer` reads; `approver` decides about requests; `respondent` gives data that a person must look up.
"""


def held(scopes: Iterable[Any], roles: Iterable[Any] = ()) -> frozenset[str]:
    """The scopes that stored scopes and roles stand for now; words of other versions stand for nothing."""
    found = {str(scope) for scope in scopes}
    if EVERY_SCOPE in found:
        return frozenset(SCOPES)
    return frozenset(found & set(SCOPES)).union(*(ROLES.get(str(role), frozenset()) for role in roles))
