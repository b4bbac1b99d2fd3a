"""Taking requests in: forms, faults, durability of the answer, idempotency, what is written and how often."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from habeas.core.errors import BadInput, Unauthorised
from habeas.core.identity import Assurance
from habeas.requests.clients import PUBLIC
from habeas.requests.installation import Installation
from habeas.requests.sealing import open_alternatives, open_package_key, open_seed
from habeas.requests.service import RequestFilter, find, submit
from habeas.store import requests as store
from habeas.store.tables import privacy_request, provided_identity, rule
from requestbook import CLIENT, MAIL, START, item, statements_of


def stored(installation: Installation, request_id: str) -> dict[str, Any]:
    with installation.database.read() as connection:
        return store.find_by_ids(connection, [request_id])[request_id]


def test_a_request_is_stored_sealed_and_queued(installation: Installation) -> None:
    bulk = submit(installation, [item(external_id="case 7", encryption_key="sixteen byte key")], actor=CLIENT)
    (answer,) = bulk.succeeded
    assert (answer["status"], answer["stage"]) == ("pending", "queued")
    assert answer["id"].startswith("pri_")
    assert answer["created_at"] == answer["requested_at"] == START
    row = stored(installation, answer["id"])
    assert row["kinds"] == ["email"]
    assert row["client_id"] == CLIENT.client_id
    ((identity,),) = open_alternatives(installation.vault, row["id"], row["sealed_identities"])
    assert (identity.value, identity.assurance) == ("ada@example.com", Assurance.VOUCHED)
    assert open_package_key(installation.vault, row["id"], row["sealed_encryption_key"]) == "sixteen byte key"
    assert len(open_seed(installation.vault, row["id"], row["sealed_seed"])) == 32
    assert b"ada" not in b"".join(value for value in row.values() if isinstance(value, bytes))


def test_both_forms_of_identities(installation: Installation) -> None:
    several = {"identities": [{"email": "ada@example.com"}, {"phone_number": "+12025550143", "customer_id": 7}]}
    labelled = {"identity": {"loyalty": {"label": "Card", "value": 12}}}
    bulk = submit(
        installation, [{"policy_key": "download"} | several, {"policy_key": "download"} | labelled], actor=CLIENT
    )
    first, second = (stored(installation, each["id"]) for each in bulk.succeeded)
    assert first["kinds"] == ["customer_id", "email", "phone_number"]
    groups = open_alternatives(installation.vault, first["id"], first["sealed_identities"])
    assert [[each.kind for each in group] for group in groups] == [["email"], ["customer_id", "phone_number"]]
    ((identity,),) = open_alternatives(installation.vault, second["id"], second["sealed_identities"])
    assert (identity.kind, identity.value, identity.label) == ("loyalty", "12", "Card")


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"policy_key": "nowhere"}, "Policy with key nowhere does not exist"),
    ({"policy_key": 7}, "policy_key: must be the key of a policy"),
    ({"policy_key": "bob@example.com"}, "policy_key: must be the key of a policy"),
    ({"identity": {}}, "You must provide at least one identity to process"),
    ({"identity": None}, "You must provide at least one identity to process"),
    ({"identity": {"email": "  ", "phone_number": None}}, "You must provide at least one identity to process"),
    ({"identity": "bob@example.com"}, "identity: must be an object"),
    ({"identity": {"email": "bob.example.com"}}, "identity.email: is not an e-mail address"),
    ({"identity": {"email": ["bob@example.com"]}}, "identity.email: must be a string or an integer"),
    ({"identity": {"email": True}}, "identity.email: must be a string or an integer"),
    ({"identity": {"email": "bob@example.com\x00"}}, "identity.email: holds control characters"),
    ({"identity": {"email": "b" * 321 + "@example.com"}}, "identity.email: is longer than 320 characters"),
    ({"identity": {"number": 10**400}}, "identity.number: is longer than 320 characters"),
    ({"identity": {"bob@example.com": "x"}}, "identity: a kind has"),
    ({"identity": {"card": {"value": "x", "other": 1}}}, "identity.card: must be a value or {label, value}"),
    ({"identities": {"email": "bob@example.com"}}, "identities: must be a list of objects"),
    ({"identities": [{"email": "bob@example.com"}] * 51}, "identities: holds more than 50 objects"),
    ({"encryption_key": "bob is too short"[:-1]}, "encryption_key: Encryption key must be 16 bytes long"),
    ({"encryption_key": 16}, "encryption_key: Encryption key must be 16 bytes long"),
    ({"external_id": "bob" * 400}, "external_id: is longer than 1024 characters"),
    ({"external_id": "bob\n"}, "external_id: holds control characters"),
    ({"requested_at": "bob's day"}, "requested_at: is not a time"),
    ({"requested_at": "0001-01-01T00:00:00+14:00"}, "requested_at: is out of range"),
]


def test_faults_are_told_each_for_itself_and_never_repeat_a_value(installation: Installation) -> None:
    items = [item(**fault) for fault, _ in FAULTS]
    for start in (0, 20):
        part = [*items[start : start + 20], item()]
        bulk = submit(installation, part, actor=CLIENT)
        assert len(bulk.succeeded) == 1
        assert [failure.data for failure in bulk.failed] == part[:-1]
        for failure, (_, told) in zip(bulk.failed, FAULTS[start:], strict=False):
            assert told in failure.message
            assert "bob" not in failure.message


def test_items_that_are_no_objects_fail_alone(installation: Installation) -> None:
    bulk = submit(installation, ["text", None, item()], actor=CLIENT)
    assert [failure.message for failure in bulk.failed] == ["an item must be an object"] * 2
    assert len(bulk.succeeded) == 1


def test_a_policy_without_rules_is_refused(installation: Installation) -> None:
    with installation.database.begin() as connection:
        connection.execute(sa.delete(rule).where(rule.c.key == "download_rule"))
    bulk = submit(installation, [item()], actor=CLIENT)
    assert "Policy with key download has no rules" in bulk.failed[0].message


def test_more_than_fifty_items_are_refused_whole(installation: Installation) -> None:
    with pytest.raises(BadInput, match="more than 50 items"):
        submit(installation, [item()] * 51, actor=CLIENT)
    assert find(installation).total == 0


def test_what_only_habeas_says_is_ignored_with_a_warning(installation: Installation) -> None:
    forged = {"status": "complete", "started_processing_at": "2020-01-01", "reviewed_by": "bob", "unknown": 1}
    (answer,) = submit(installation, [item(**forged)], actor=CLIENT).succeeded
    assert [text.split()[0] for text in answer["warnings"]] == ["status", "started_processing_at", "reviewed_by"]
    assert (answer["status"], answer["started_processing_at"], answer["reviewed_by"]) == ("pending", None, None)


def test_beginning_depends_on_who_asks_and_on_settings(opened: Callable[..., Installation]) -> None:
    def beginning(actor: Any = CLIENT, **settings: bool) -> tuple[str, str]:
        (answer,) = submit(opened(**MAIL, **settings), [item()], actor=actor).succeeded
        return answer["status"], answer["stage"]

    approval, verification = "require_manual_request_approval", "subject_identity_verification_required"
    assert beginning() == ("pending", "queued")
    assert beginning(**{approval: True}) == ("pending", "approve")
    assert beginning(**{verification: True}) == ("pending", "queued")
    assert beginning(PUBLIC, **{verification: True}) == ("identity_unverified", "verify_identity")
    with pytest.raises(Unauthorised):
        beginning(PUBLIC)


def test_public_identities_are_claims(opened: Callable[..., Installation]) -> None:
    installation = opened(**MAIL, subject_identity_verification_required=True)
    (answer,) = submit(installation, [item()], actor=PUBLIC).succeeded
    row = stored(installation, answer["id"])
    ((identity,),) = open_alternatives(installation.vault, row["id"], row["sealed_identities"])
    assert identity.assurance is Assurance.CLAIMED
    assert row["client_id"] is None


def test_due_date_counts_from_the_request(installation: Installation) -> None:
    with installation.database.begin() as connection:
        connection.execute(sa.text("update policy set execution_timeframe = 45 where key = 'download'"))
    (answer,) = submit(installation, [item(requested_at="2026-11-20T09:30:00+02:00")], actor=CLIENT).succeeded
    assert answer["requested_at"].isoformat() == "2026-11-20T07:30:00+00:00"
    assert answer["due_date"].isoformat() == "2027-01-04T07:30:00+00:00"
    assert answer["days_left"] == 41


def test_identities_are_indexed_once_each(installation: Installation) -> None:
    same = {"identities": [{"email": "Ada@Example.com"}, {"email": "ada@example.com"}]}
    submit(installation, [{"policy_key": "download"} | same], actor=CLIENT)
    with installation.database.read() as connection:
        kinds = connection.execute(sa.select(provided_identity.c.kind)).scalars().all()
    assert kinds == ["email"]


@pytest.mark.parametrize("size", [1, 50])
def test_a_call_takes_three_statements(installation: Installation, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(os, "urandom", lambda size, draw=os.urandom: (drawn.append(size), draw(size))[1])
    with statements_of(installation) as seen:
        submit(installation, [item()] * size, actor=CLIENT)
    ours = [each for each in seen if "pg_notify" not in each]
    assert len(ours) == 3, ours
    assert len(drawn) == 4  # ids, seeds, and the nonces of two columns: none of them once a request


def test_the_same_key_and_body_answer_the_same(installation: Installation) -> None:
    items = [item(external_id="one"), item(policy_key="nowhere")]
    first = submit(installation, items, actor=CLIENT, idempotency_key="k-1")
    installation.clock.advance(60)  # type: ignore[attr-defined]
    again = submit(installation, json.loads(json.dumps(items)), actor=CLIENT, idempotency_key="k-1")
    assert again == first
    assert find(installation).total == 1


def test_the_same_key_with_another_body_is_refused(installation: Installation) -> None:
    submit(installation, [item()], actor=CLIENT, idempotency_key="k-1")
    with pytest.raises(BadInput, match="used before with another body"):
        submit(installation, [item(external_id="two")], actor=CLIENT, idempotency_key="k-1")
    assert find(installation).total == 1


def test_another_clients_key_is_another_key(installation: Installation) -> None:
    other = type(CLIENT)("client-2", CLIENT.scopes)
    submit(installation, [item()], actor=CLIENT, idempotency_key="k-1")
    submit(installation, [item()], actor=other, idempotency_key="k-1")
    assert find(installation).total == 2


@pytest.mark.parametrize("key", ["", "two words", "ü", "k" * 256])
def test_keys_have_a_form(installation: Installation, key: str) -> None:
    with pytest.raises(BadInput, match="Idempotency-Key"):
        submit(installation, [item()], actor=CLIENT, idempotency_key=key)


def test_one_key_from_many_threads_makes_one_request(installation: Installation) -> None:
    def call(_: int) -> str:
        return str(submit(installation, [item()], actor=CLIENT, idempotency_key="k-1").succeeded[0]["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(call, range(16)))
    assert len(ids) == 1
    assert find(installation).total == 1


def test_nothing_of_a_person_is_stored_readable(installation: Installation) -> None:
    person = {"email": "ada.lovelace@example.com", "phone_number": "+12025550143"}
    submit(installation, [item(identity=person)], actor=CLIENT, idempotency_key="k-1")
    with installation.database.read() as connection:
        for table in (privacy_request.metadata.tables[name] for name in sorted(privacy_request.metadata.tables)):
            for row in connection.execute(sa.select(table)):
                assert "lovelace" not in repr(tuple(row))
                assert "2025550143" not in repr(tuple(row))


def test_an_answer_outlives_a_reopened_installation(opened: Callable[..., Installation]) -> None:
    (answer,) = submit(opened(), [item()], actor=CLIENT).succeeded
    assert find(opened(), RequestFilter(id=answer["id"])).items[0]["id"] == answer["id"]
