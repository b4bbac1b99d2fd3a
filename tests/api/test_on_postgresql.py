"""The same services over an app database on PostgreSQL: every noun once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conftest import open_api
from .test_connections import make
from .test_datasets import dataset, referring
from .test_policies import access, erasure, make_policy
from .test_privacy_requests import ITEM, submit
from .test_storage_and_masking import LOCAL


def test_every_noun(tmp_path: Path, postgres_url: str) -> None:
    for api in open_api(tmp_path, database_url=postgres_url):
        assert api.ok("GET", "/config")["database"] == {"kind": "postgresql"}
        assert api.ok("GET", "/health", token=None)["status"] == "healthy"
        api.saved("/storage/config", LOCAL)
        make_policy(api, "whole", access("whole_access"), erasure("whole_erasure"))
        api.saved("/policy/whole/rule/whole_erasure/target", {"data_category": "user.contact", "key": "t"})
        assert "Name Policy whole already" in api.failure("/policy", {"name": "Policy whole", "key": "x"})
        assert api.ok("GET", "/policy", params={"size": 1})["total"] == 3
        make(api, "shop", description="100% of it")
        assert api.ok("GET", "/connection", params={"search": "100%"})["total"] == 1
        assert api.ok("GET", "/connection", params={"search": "1%0"})["total"] == 0
        api.ok("GET", "/connection/shop/test")
        assert api.ok("GET", "/connection", params={"test_status": "failed"})["total"] == 1
        api.saved("/connection/shop/dataset", dataset("customers"), referring("orders", "customers"))
        assert api.ok("GET", "/connection/shop/dataset")["total"] == 2
        [made] = submit(api, ITEM)["succeeded"]
        params: dict[str, Any] = {"id": made["id"], "include_identities": True, "verbose": True}
        assert api.ok("GET", "/privacy-request", params=params)["items"][0]["identity"] == ITEM["identity"]
        make(api, "own", "postgres")
        answer = api.call("PUT", "/connection/own/secret", json={"url": postgres_url})
        assert answer.status_code == 422
        assert "habeas' own database" in answer.text
        token = api.token_with("scope:read")
        api.call("POST", "/oauth/revoke", data={"token": token})
        assert api.call("GET", "/oauth/scope", token=token).status_code == 401
        assert api.call("DELETE", "/connection/shop").status_code == 204
        assert api.call("DELETE", "/policy/whole").status_code == 204
