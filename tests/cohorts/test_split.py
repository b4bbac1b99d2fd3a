"""A cohort that would find more rows than the setting allows is split, by what earlier cohorts of its plan found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cohortbook import Town, cohorts_of, mail, paused, run_together
from flowbook import Flow, flowing

SHORT = 60


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """An installation that lets a cohort find eight rows."""
    with flowing(tmp_path_factory.mktemp("cohorts") / "data", cohort_pairs=8) as running:
        running.api.access_policy("access", ["user"])
        yield running


def test_more_than_the_limit_allows_run_as_several_cohorts(flow: Flow, town: Town) -> None:
    town.people(6)
    run_together(flow, "access", 1)  # leaves what a member of this plan has: four rows
    with paused(flow):
        ids = [flow.api.submit("access", {"email": mail(each)})[0] for each in range(1, 7)]
    ends = [flow.api.wait(each, SHORT) for each in ids]
    assert {end["status"] for end in ends} == {"complete"}
    assert cohorts_of(flow, ids) == 3
    assert [flow.package(each)["town:person"] for each in ids] == [[{"email": mail(each)}] for each in range(1, 7)]
