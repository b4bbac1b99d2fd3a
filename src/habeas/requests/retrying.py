"""How often, and after which waits, work is tried again where a system failed in a way that may pass.

fidesops' three numbers (`task_retry_*`). It never decides what failed, or what a failure means for a request.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tenacity

from habeas.core.errors import Fenced, HabeasError, Incomplete, SchemaChanged
from habeas.core.settings import Settings

LONGEST_SECONDS = 60.0
"""A wait between two attempts never grows beyond this: a lease is kept meanwhile, and a person waits."""


def retrying(settings: Settings, failed: Callable[[HabeasError], None] | None = None) -> tenacity.Retrying:
    """A caller that runs a function up to `1 + task_retry_count` times, and raises its last error as it was.

    `failed` hears of each failure that another attempt follows.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(1 + settings.task_retry_count),
        wait=partial(_seconds, settings),
        before_sleep=partial(_tell, failed),
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    passing = isinstance(error, HabeasError) and error.retryable
    return passing and not isinstance(error, Fenced | Incomplete | SchemaChanged)


def _seconds(settings: Settings, state: tenacity.RetryCallState) -> float:
    grown: float = settings.task_retry_delay * settings.task_retry_backoff ** (state.attempt_number - 1)
    return min(grown, LONGEST_SECONDS)


def _tell(failed: Callable[[HabeasError], None] | None, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if failed is not None and isinstance(error, HabeasError):
        failed(error)
