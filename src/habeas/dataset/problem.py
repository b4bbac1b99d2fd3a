"""A problem found in a dataset or policy: what, where, and what would be right. Never holds data of a store."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from habeas.core.errors import BadInput

Loc = tuple[str | int, ...]


class Problem(msgspec.Struct, frozen=True):
    """One fault or doubt.

    `path` is for people (`shop:orders:customer_id fides_meta.references[0]`), `loc` for programs: the keys and
    indices from the document's top. `line` and `column` count from 1 and are None without a text. `dataset`
    is the key of the dataset it lies in. An error with `saveable` may be stored, since a later dataset can
    mend it, but no validation passes with it.
    """

    message: str
    severity: Literal["error", "warning"] = "error"
    path: str = ""
    fix: str | None = None
    loc: Loc = ()
    line: int | None = None
    column: int | None = None
    source: str = ""
    dataset: str | None = None
    saveable: bool = False
    code: str = "value_error"

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line, self.column) if part not in ("", None))
        where = ": ".join(part for part in (place, self.path) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} – {self.fix}" if self.fix else text

    @property
    def refuses_saving(self) -> bool:
        """Whether the document can't be stored with this problem in it."""
        return self.severity == "error" and not self.saveable

    def detail(self, prefix: Loc = ()) -> Mapping[str, object]:
        """The problem as an API detail `{loc, msg, type}`; `prefix` goes before `loc`."""
        message = f"{self.message} – {self.fix}" if self.fix else self.message
        return {"loc": [*prefix, *self.loc], "msg": message, "type": self.code}


class DatasetProblems(BadInput):
    """All problems of one document at once, in the order of the text."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was most likely meant, None if nothing is near."""
    folded = {each.casefold(): each for each in sorted(known, reverse=True)}
    near = difflib.get_close_matches(word.casefold(), sorted(folded), n=1, cutoff=cutoff)
    return folded[near[0]] if near else None
