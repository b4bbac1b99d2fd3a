"""Storage destinations, the masking API, the configuration and the pause switch."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ROOT_SECRET, Api

LOCAL = {"name": "Files", "key": "files", "type": "local", "details": {"naming": "request_id"}, "format": "csv"}


def test_a_destination(shared_api: Api) -> None:
    [made] = shared_api.saved("/storage/config", LOCAL)
    assert {name: made[name] for name in LOCAL} == LOCAL
    assert shared_api.ok("GET", "/storage/config/files") == made
    assert shared_api.saved("/storage/config", made) == [shared_api.ok("GET", "/storage/config/files")]
    assert shared_api.call("PUT", "/storage/config/files/secret", json={"a": "b"}).status_code == 400
    assert shared_api.call("DELETE", "/storage/config/files").status_code == 204
    assert shared_api.call("GET", "/storage/config/files").status_code == 404


def test_a_destination_that_rules_name_stays(shared_api: Api) -> None:
    answer = shared_api.call("DELETE", "/storage/config/local_packages")
    assert answer.status_code == 409
    assert "download_rule" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "carrier_pigeon"}, "local"),
        ({"details": {"naming": "request_id", "bucket": "b"}}, "bucket"),
        ({"name": "Local packages"}, "already exists"),
    ],
)
def test_destinations_that_are_refused(shared_api: Api, change: dict[str, Any], said: str) -> None:
    assert said in shared_api.failure("/storage/config", LOCAL | {"key": "refused"} | change)


def test_a_format_that_does_not_exist(shared_api: Api) -> None:
    assert shared_api.call("PATCH", "/storage/config", json=[LOCAL | {"format": "pdf"}]).status_code == 422


def test_strategies_are_listed(shared_api: Api) -> None:
    listed = {each["name"]: each for each in shared_api.ok("GET", "/masking/strategy")}
    assert {"null_rewrite", "string_rewrite", "random_string_rewrite", "hash", "hmac", "aes_encrypt"} <= set(listed)
    assert listed["string_rewrite"]["configurations"][0].keys() == {"key", "optional", "description"}


def test_values_are_masked(shared_api: Api) -> None:
    given = {
        "values": ["one", None],
        "masking_strategy": {"strategy": "string_rewrite", "configuration": {"rewrite_value": "M"}},
    }
    assert shared_api.ok("PUT", "/masking/mask", json=given) == {"plain": ["one", None], "masked_values": ["M", None]}
    chain = [given["masking_strategy"], {"strategy": "hash", "configuration": {"algorithm": "SHA-512"}}]
    told = shared_api.ok("PUT", "/masking/mask", json=given | {"masking_strategy": chain})
    assert len(told["masked_values"][0]) == 128
    again = shared_api.ok("PUT", "/masking/mask", json=given | {"masking_strategy": chain})
    assert again["masked_values"] != told["masked_values"]  # fresh secrets at every call


def test_masking_that_is_refused(shared_api: Api) -> None:
    unknown = {"values": ["x"], "masking_strategy": {"strategy": "magic"}}
    answer = shared_api.call("PUT", "/masking/mask", json=unknown)
    assert answer.status_code == 404
    assert "Strategy 'magic' does not exist. Valid strategies are [" in answer.json()["detail"]
    bad = {"values": ["x"], "masking_strategy": {"strategy": "hash", "configuration": {"algorithm": "MD5"}}}
    assert shared_api.call("PUT", "/masking/mask", json=bad).status_code == 400
    assert shared_api.call("PUT", "/masking/mask", json={"values": "x"}).status_code == 422


def test_the_configuration_shows_neither_secrets_nor_paths(shared_api: Api) -> None:
    answer = shared_api.call("GET", "/config")
    assert answer.json()["database"] == {"kind": "sqlite"}
    assert answer.json()["security"] == {"oauth_access_token_expire_minutes": 60}
    assert ROOT_SECRET not in answer.text
    assert str(shared_api.installation.settings.data_dir) not in answer.text


def test_the_pause_switch(shared_api: Api) -> None:
    assert shared_api.ok("GET", "/execution") == {"paused": False, "workers": 0}
    assert shared_api.ok("PUT", "/execution", json={"paused": True}) == {"paused": True, "workers": 0}
    assert shared_api.ok("PUT", "/execution", json={"paused": True}) == {"paused": True, "workers": 0}
    assert shared_api.ok("GET", "/execution") == {"paused": True, "workers": 0}
    assert shared_api.ok("PUT", "/execution", json={"paused": False}) == {"paused": False, "workers": 0}
    assert shared_api.call("PUT", "/execution", json={"paused": "yes"}).status_code == 422
