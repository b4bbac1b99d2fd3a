"""The port to the durable engine: the few verbs that habeas needs, so that another engine can take its place.

Effects of steps are at-least-once: a step that ended but wasn't recorded runs again. Inputs and outputs
are plain JSON (ids, counts, digests), never personal data. A workflow is started at most once per id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

Workflow = Callable[["Steps", str], None]
"""A workflow's body: gets the means to run steps, and the id of its subject (a cohort id)."""


class Steps(Protocol):
    """Runs the steps of one workflow, each recorded once it ended."""

    def run(self, name: str, function: Callable[[], T]) -> T:
        """Run a step, or give its recorded result. The result must be JSON. Errors of the step propagate;
        they are recorded by class and code only."""
        ...


class DurableEngine(Protocol):
    """Runs workflows that survive the process."""

    def register(self, name: str, workflow: Workflow) -> None:
        """Make a workflow known; before `launch`."""
        ...

    def launch(self) -> None:
        """Begin; resumes nothing by itself."""
        ...

    def start(self, name: str, workflow_id: str, subject: str) -> None:
        """Start a workflow now, in a thread of this process; nothing happens if the id was started before."""
        ...

    def pending(self, executor_id: str | None = None) -> Sequence[str]:
        """Ids of workflows not ended, of one executor or of all."""
        ...

    def resume(self, workflow_ids: Sequence[str]) -> None:
        """Run these again from their last recorded step, in this process, through the recovery queue."""
        ...

    def cancel(self, workflow_id: str) -> None:
        """Stop a workflow at its next step."""
        ...

    def forget(self, workflow_ids: Sequence[str]) -> None:
        """Delete the engine's rows of ended workflows."""
        ...

    def prune(self, before: float) -> int:
        """Delete the engine's records of workflows that ended before a moment (of `time.time`); how many."""
        ...

    def running(self) -> int:
        """Workflows now running in this process."""
        ...

    def shutdown(self, grace_seconds: float) -> None:
        """Stop taking work, wait up to the grace, leave the rest to be resumed."""
        ...
