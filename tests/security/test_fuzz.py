"""Each route of the OpenAPI document, called with generated cases: no answer is one that the document doesn't have, and
no word that was stored before shows where it shouldn't. `make fuzz` goes on for longer, with other seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import pytest

from fuzzbook import SEES_IDENTITIES, Fuzzer, fuzzing
from habeas.requests.scopes import SCOPES


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    with fuzzing(tmp_path_factory.mktemp("fuzz") / "data") as fuzzer:
        yield fuzzer


def test_no_answer_is_undocumented_and_nothing_personal_shows(fuzzer: Fuzzer) -> None:
    fuzzer.run(seed=1, examples=3)
    routes = {f"{method.upper()} {path}" for path, methods in fuzzer.document["paths"].items() for method in methods}
    assert routes == fuzzer.calls.keys()
    assert not fuzzer.found, "\n".join(map(str, fuzzer.found.values()))
    succeeded = [route for route, statuses in fuzzer.answered.items() if min(statuses) < 300]
    assert len(succeeded) > len(routes) / 3, "the cases don't get beyond the first check"


def test_a_token_that_may_not_see_identities_never_does(fuzzer: Fuzzer) -> None:
    fuzzer.found.clear()
    fuzzer.run(seed=2, examples=1, scopes=frozenset(SCOPES) - {SEES_IDENTITIES})
    assert not fuzzer.found, "\n".join(map(str, fuzzer.found.values()))


def test_what_is_wrong_is_found(fuzzer: Fuzzer) -> None:
    """The fuzzer itself: a document that says too little, and a word that shows."""
    path = "/api/v1/oauth/client/{client_id}/scope"
    short = deepcopy(fuzzer.document["paths"][path]["get"])
    del short["responses"]["200"]
    little = replace(fuzzer, document=fuzzer.document | {"paths": {path: {"get": short}}}, found={})
    little.run(seed=1, examples=5)
    assert "200: Undocumented status code" in str(list(little.found.values()))
    shown = fuzzer.api.call("GET", "/privacy-request", params={"include_identities": "true"})
    (listing,) = (each for each in fuzzer.operations if each.label == "GET /api/v1/privacy-request")
    faults = fuzzer.faults(listing.Case(), shown, "/api/v1/privacy-request", frozenset(SCOPES))
    assert {"shows an e-mail address", "shows a phone number"} <= set(faults)


def test_a_number_beyond_what_a_database_counts_is_refused(fuzzer: Fuzzer) -> None:
    """Found by `make fuzz`: it was answered 500."""
    assert fuzzer.api.call("GET", "/receipt/chain", params={"after": 2**63 - 1}).status_code == 200
    assert fuzzer.api.call("GET", "/receipt/chain", params={"after": 2**63}).status_code == 422
