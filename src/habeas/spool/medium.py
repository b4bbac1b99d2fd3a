"""What a spool needs of the place where its frames lie, and the errors of that place.

A medium keeps sealed bytes under a cohort and a frame's name. It knows no keys and never looks inside.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from habeas.core.errors import HabeasError, Unavailable

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


class FrameLost(HabeasError):
    """A frame is missing or isn't what was written. Rows can be read again; a frozen set can't."""

    code = "frame_lost"
    retryable = True


class SpoolFull(Unavailable):
    """The place of the spool is full; nothing of the frame was kept."""

    code = "spool_full"


class Frame(NamedTuple):
    """A written frame. `size` counts the payload's bytes; `digest` is the hex SHA-256 of the sealed bytes,
    which says nothing about the payload.
    """

    name: str
    size: int
    digest: str


class Medium(Protocol):
    """A place for sealed frames. Safe for several threads. Raises Unavailable where the place can't be used.

    Names are those that `is_name` takes; whoever calls has seen to that.
    """

    def put(self, cohort_id: str, frame: Frame, sealed: bytes, *, durable: bool) -> None:
        """Keep a frame in place of an earlier one of that name. `durable`: on return it outlives a power loss.

        Raises SpoolFull or Unavailable; then `names` doesn't show the frame, unless its acknowledgement was lost.
        """

    def get(self, cohort_id: str, frame: Frame) -> bytes:
        """The sealed bytes, not checked; raises FrameLost where there are none."""

    def names(self, cohort_id: str) -> set[str]:
        """Names of all the cohort's frames, of every epoch."""

    def drop(self, cohort_id: str, frame: Frame) -> None:
        """Delete one frame; nothing happens if it is gone."""

    def clear(self, cohort_id: str) -> None:
        """Delete all frames of a cohort; safe to call again, and from several hosts."""

    def cohorts_with_frames(self) -> list[str]:
        """Ids of cohorts that have something left here, in order. Whoever shares the place is among them."""


def is_name(text: str) -> bool:
    """Whether a cohort or frame may be called so: what can't leave its place, and any store takes."""
    return _NAME.fullmatch(text) is not None
