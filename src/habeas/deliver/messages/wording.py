"""The texts of messages: one TOML file a language in `texts`, with placeholders and nothing else.

A subject has no placeholder, so nothing personal can come into it. To add a language is to add its file. Never sends.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from string import Template
from typing import NamedTuple

from habeas.core.errors import BadInput

PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "verification_code": frozenset({"code", "minutes"}),
    "consent_code": frozenset({"code", "minutes"}),
    "request_received": frozenset({"actions", "request_id"}),
    "request_approved": frozenset({"request_id"}),
    "request_denied": frozenset({"reason", "request_id"}),
    "complete_access": frozenset({"request_id"}),
    "complete_erasure": frozenset({"request_id"}),
    "erasure_instruction": frozenset({"identities", "instructions", "link", "days", "request_id"}),
    "test": frozenset(),
}
"""What may be filled into each message."""

_PLACE = "habeas.deliver.messages"


class Wording(NamedTuple):
    """A written message."""

    subject: str
    text: str


def languages() -> Sequence[str]:
    """The languages there are texts in, sorted."""
    found = (files(_PLACE) / "texts").iterdir()
    return sorted(each.name.removesuffix(".toml") for each in found if each.name.endswith(".toml"))


def write(name: str, language: str, values: Mapping[str, str]) -> Wording:
    """The message of that name with its placeholders filled in. Raises BadInput for a language without texts."""
    text = _texts(language)[name]
    return Wording(text["subject"], Template(text["body"]).substitute(values).strip() + "\n")


def word(name: str, language: str) -> str:
    """How an action is called in a text."""
    return _texts(language)["words"][name]


@lru_cache
def _texts(language: str) -> Mapping[str, Mapping[str, str]]:
    if language not in languages():
        fix = f"use {' or '.join(languages())}"
        raise BadInput(f"there are no texts in {language!r}", where="message_language", fix=fix)
    return tomllib.loads((files(_PLACE) / "texts" / f"{language}.toml").read_text(encoding="utf-8"))
