"""A cohort as the dispatcher claimed it, handed to its first attempt in the same process, so that nothing is read
back that was just written. Whoever finds a cohort later reads it. Holds sealed columns; never opens one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Claim(NamedTuple):
    """The cohort's row, its members' rows in order (None: too many, they are read in a stream), and the stamp of the
    configuration it was planned with.
    """

    cohort: Mapping[str, Any]
    members: Sequence[Mapping[str, Any]] | None
    stamp: str
