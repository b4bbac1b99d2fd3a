"""The taxonomy of data categories: today's keys, what former keys are called today, and which lies within which.

Keys only, read once from the package's own data. Never knows a dataset or a policy.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable
from functools import lru_cache
from importlib.resources import files

from habeas.core.errors import BadInput


def _read() -> tuple[frozenset[str], dict[str, str]]:
    document = json.loads(files("habeas.core").joinpath("taxonomy.json").read_text(encoding="utf-8"))
    return frozenset(document["data_categories"]), document["data_categories_former"]


CATEGORIES, FORMER = _read()
"""Today's keys, and each former key with today's."""

_FORMER_BRANCHES = frozenset(key.rpartition(".")[0] for key in FORMER)


def is_within(category: str, target: str) -> bool:
    """Whether `category` is `target` or lies below it: `user.biometric_health` is not within `user.biometric`."""
    return category == target or category.startswith(f"{target}.")


@lru_cache(maxsize=4096)
def current(key: str) -> str | None:
    """Today's key for a current or former key, None if neither.

    A former key stands for what is below it too: its last parts are kept where today's taxonomy has them, else
    they fold into its successor, but only below a leaf: below a branch an unknown key is a slip of the pen.
    """
    if key in CATEGORIES:
        return key
    head, rest = key, ""
    while head not in FORMER:
        head, dot, last = head.rpartition(".")
        if not dot or head in CATEGORIES:
            return None
        rest = f".{last}{rest}"
    below = f"{FORMER[head]}{rest}"
    if below in CATEGORIES:
        return below
    return None if rest and head in _FORMER_BRANCHES else FORMER[head]


def escaped(key: str) -> tuple[str, ...]:
    """Today's keys of what once lay below a former key and does not lie below its successor, in order.

    A target that names the former key selected them once and does so no longer.
    """
    if key in CATEGORIES or (today := current(key)) is None:
        return ()
    moved = {new for old, new in FORMER.items() if is_within(old, key) and not is_within(new, today)}
    return tuple(sorted(moved))


def nearest(key: str, extra: Iterable[str] = ()) -> str | None:
    """Today's key that was most likely meant, None if nothing is near."""
    known = [*CATEGORIES, *extra]
    suffix = [each for each in known if each.endswith(f".{key.rpartition('.')[2]}")]
    candidates = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.75)
    if candidates:
        return candidates[0]
    if suffix:
        return min(suffix, key=lambda each: (-difflib.SequenceMatcher(None, key, each).ratio(), each))
    former = difflib.get_close_matches(key, sorted(FORMER), n=1, cutoff=0.85)
    if former:
        return FORMER[former[0]]
    return next(iter(difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)), None)


def check_category(key: str, extra: Collection[str] = frozenset()) -> tuple[str, str | None]:
    """Today's key and, for a former key, a warning. `extra` holds keys that the company declared itself.

    Raises BadInput, naming the nearest key, for any other.
    """
    if key in extra or key in CATEGORIES:
        return key, None
    today = current(key)
    if today is None:
        near = nearest(key, extra)
        raise BadInput(
            f"unknown data category {key!r}",
            fix=f"did you mean {near}?" if near else "see the taxonomy for the known keys",
        )
    warning = f"data category {key} is now called {today}"
    if moved := escaped(key):
        warning += f"; what lay below it and is elsewhere now is not covered: {', '.join(moved)}"
    return today, warning
