"""The shapes of answers that several nouns share: bulk answers and pages, and the key an object gets from its name.

Bulk (fidesops): one bad item never stops the others; each failure carries the caller's own item and a
message that holds no value of personal data. Nothing here touches a database.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from habeas.core.errors import BadInput, Conflict, Forbidden, NotFound, Refused

MAX_ITEMS = 50
DEFAULT_SIZE = 50
MAX_SIZE = 100

KEY_PATTERN = r"^[a-zA-Z0-9_.-]+$"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Failure:
    """One item that was not taken: why, and the item as the caller gave it."""

    message: str
    data: dict[str, Any]


@dataclass
class Bulk:
    """The answer of a bulk call, in the order of the items."""

    succeeded: list[dict[str, Any]] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """One page of a list; `total` counts all that match, `page` begins at 1."""

    items: list[dict[str, Any]]
    total: int
    page: int
    size: int


def save_each(items: Sequence[M], save: Callable[[M], dict[str, Any]]) -> Bulk:
    """Save items one by one, each in a transaction of its own that `save` opens.

    An item's own faults become failures; anything else (our database is gone) ends the call.
    """
    bulk = Bulk()
    for item in items:
        try:
            bulk.succeeded.append(save(item))
        except (BadInput, NotFound, Conflict, Refused, Forbidden) as problem:
            bulk.failed.append(Failure(str(problem), item.model_dump(mode="json", exclude_unset=True)))
    return bulk


def key_from(name: str) -> str:
    """The key for a name: ASCII, lower case, words joined by `_` (fidesops). Raises BadInput if nothing is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^\w\s-]", "", ascii_name.lower().strip())
    key = re.sub(r"[\s-]+", "_", words).strip("_")
    if not key:
        raise BadInput("no key can be made from this name", where="name", fix="give a key of letters, digits, . _ -")
    return key
