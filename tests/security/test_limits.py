"""Bodies made to cost more than they weigh, and pages of other origins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apibook import Api, open_api

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    for each in open_api(tmp_path_factory.mktemp("limits")):
        each.saved("/connection", {"name": "shop", "key": "shop", "connection_type": "sqlite", "access": "read"})
        yield each


@pytest.mark.parametrize(
    "text",
    [
        f"dataset:\n- fides_key: bomb\n  collections: []\n{BOMB}",
        "dataset: " + "[" * 50_000,
        "dataset: " + "{a: " * 50_000,
        "dataset: !!python/object/apply:os.system ['true']",
        "dataset: &a [*a]",
    ],
    ids=["billion laughs", "deep lists", "deep maps", "an object of Python's", "a list that holds itself"],
)
def test_yaml_that_costs_more_than_it_weighs_is_refused(api: Api, text: str) -> None:
    headers = {"Content-Type": "application/x-yaml"}
    answer = api.call("PATCH", "/yml/connection/shop/dataset", content=text.encode(), headers=headers)
    assert answer.status_code in (400, 422), answer.text[:500]
    assert api.ok("GET", "/connection/shop/dataset")["total"] == 0


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 5000 + "]" * 5000])
def test_json_that_is_deep_is_refused(api: Api, text: str) -> None:
    answer = api.call("PATCH", "/policy", content=text.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text[:500]


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://habeas.test.example.com"])
def test_pages_of_other_origins_may_read_nothing(api: Api, origin: str) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    for method, headers in (("OPTIONS", asked), ("GET", {"Origin": origin})):
        answer = api.call(method, "/policy", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
