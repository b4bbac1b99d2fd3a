"""Facts about masks, as fixed vectors. Groups: mask_*, hmac_*, aes_gcm_*, sql_update, erasure_affected_fields."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from casebook import load_case, load_facts
from habeas.core.errors import BadInput
from habeas.core.values import canonical_text
from habeas.dataset.load import dataset_from
from habeas.dataset.model import StrategyChoice
from habeas.deliver.sealing import SealedText, check_encryption_key
from habeas.masking.registry import strategy
from habeas.masking.strategies.aes_encrypt import nonce_of
from habeas.plan.build import build_plan
from habeas.plan.graph import BoundDataset, Catalog
from habeas.plan.model import Plan
from habeas.policy.model import ActionType, Policy, Rule
from habeas.policy.select import check_policy
from planbook import policy_of, schema_of

Fact = dict[str, Any]


def facts(*topics: str) -> Any:
    return pytest.mark.parametrize("fact", load_facts(*topics), ids=lambda fact: fact["id"])


def masked(name: str, configuration: dict[str, Any], secrets: dict[str, str], values: list[Any] | None) -> Any:
    """Masks of values as they are masked in a column; None for no values, as upstream has it."""
    if values is None:
        return None
    chosen = strategy(name)
    checked = chosen.configure({key: value for key, value in configuration.items() if value is not None})
    return [chosen.mask(checked, canonical_text(value), secrets, b"[1]") for value in values]


# A datetime is hashed as the text that a package shows (T between date and time), not as Python prints it: the mask
# must be the same wherever it is computed, in a store or here (design §5.9).
BY_OUR_TEXT = {"F0325", "F0332"}


@facts("mask_hash", "mask_hmac")
def test_digests(fact: Fact) -> None:
    given, name = fact["input"], fact["topic"].removeprefix("mask_")
    if fact["id"] in BY_OUR_TEXT:
        (value,) = given["values"]
        found = masked(name, {}, given, [value["datetime"]])
        assert found != fact["expect"]["equals"]
        assert found == masked(name, {}, given, ["2000-01-01T00:00:00"])
        return
    assert masked(name, {"algorithm": given["algorithm"]}, given, given["values"]) == fact["expect"]["equals"]


@facts("hmac_hex", "hmac_bytes")
def test_hmac_is_fidesops_formula(fact: Fact) -> None:
    given = fact["input"]
    assert masked("hmac", {"algorithm": given["algorithm"]}, given, [given["value"]]) == [fact["expect"]["equals"]]


@facts("mask_string_rewrite", "mask_null_rewrite")
def test_constants(fact: Fact) -> None:
    given = fact["input"]
    found = masked(fact["topic"].removeprefix("mask_"), given["config"], {}, given["values"])
    assert found == fact["expect"]["equals"]


@facts("mask_random_string_rewrite")
def test_random_text_has_the_wanted_length(fact: Fact) -> None:
    given = fact["input"]
    secrets = dict.fromkeys(strategy("random_string_rewrite").secret_names, "k" * 43)
    found = masked("random_string_rewrite", given["config"], secrets, given["values"])
    assert [len(each) for each in found] == fact["expect"]["lengths"]


@facts("mask_preserve")
def test_preserve_keeps_what_it_gets(fact: Fact) -> None:
    assert masked("preserve", {}, {}, fact["input"]["values"]) == fact["expect"]["equals"]


@facts("mask_aes")
def test_null_stays_null_under_encryption(fact: Fact) -> None:
    secrets = dict.fromkeys(strategy("aes_encrypt").secret_names, "k" * 43)
    assert masked("aes_encrypt", {}, secrets, fact["input"]["values"]) == fact["expect"]["equals"]


@facts("mask_aes_nonce_derivation")
def test_the_nonce_comes_from_the_value(fact: Fact) -> None:
    given = fact["input"]
    nonce = nonce_of(given["value"], given["key_hmac"], given["salt_hmac"])
    assert nonce.hex() == fact["expect"]["equals"]["encrypt_called_with"]["nonce_hex"]


@facts("aes_gcm_roundtrip")
def test_a_sealed_package_opens_with_its_key(fact: Fact) -> None:
    # a package is base64(nonce ‖ AES-GCM(text, AAD = nonce)); its nonce is drawn, so it is opened, not compared
    key, parts = "k" * 16, bytearray()
    sealed = SealedText(parts.extend, key)
    sealed.write(fact["input"]["plaintext"].encode())
    sealed.finish()
    raw = base64.b64decode(bytes(parts))
    assert AESGCM(key.encode()).decrypt(raw[:12], raw[12:], raw[:12]).decode() == fact["expect"]["decrypts_back_to"]


# There is no way to hand in a nonce, empty or not: each text draws its own.
DRAWN_NONCES = {"F0339", "F0341"}


@facts("aes_gcm_validation")
def test_a_key_of_another_length_is_refused_and_a_nonce_is_never_empty(fact: Fact) -> None:
    assert fact["expect"]["raises"] == "ValueError"
    if fact["id"] not in DRAWN_NONCES:
        with pytest.raises(BadInput):
            check_encryption_key("k" * 13)
        return
    sealed = []
    for _ in range(2):
        parts = bytearray()
        text = SealedText(parts.extend, "k" * 16)
        text.write(b"same")
        text.finish()
        sealed.append(base64.b64decode(bytes(parts)))
    first, second = sealed
    assert len(first) == 12 + len(b"same") + 16
    assert first[:12] != second[:12]


CUSTOMER = """
create table customer (id integer primary key, email varchar(100), name varchar(40), created timestamp,
                       address_id integer)
"""


def plan_of(target: str, mask: Any) -> Plan:
    document = load_case("fidesops_example").dataset("core")
    document["collections"] = [each for each in document["collections"] if each["name"] == "customer"]
    for field in document["collections"][0]["fields"]:
        field.get("fides_meta", {}).pop("references", None)
    catalog = Catalog((BoundDataset(dataset_from(document, where="case"), "db", schema=schema_of(CUSTOMER)),))
    return build_plan(policy_of({"erasure": [target], "mask": mask}), catalog, ["email"], region="US")


@facts("sql_update")
def test_an_update_writes_the_targeted_fields_by_the_key(fact: Fact) -> None:
    given, expect = fact["input"], fact["expect"]["equals"]
    (rule,) = given["rules"]
    configuration = {"algorithm": rule["algorithm"]} if "algorithm" in rule else {}
    (step,) = plan_of(rule["target"], {"strategy": rule["mask"], "configuration": configuration}).steps
    assert step.table.name == expect["update"]
    assert [mask.field for mask in step.masks] == list(expect["set"])
    assert list(step.key) == list(expect["where"])
    for mask in step.masks:
        if mask.field == "name" and mask.strategy == "hash":
            assert expect["name_is_first_40_chars_of_hash"]
            assert mask.length == 40


# One category on two erasure rules is refused when it is saved: one of two masks would win by chance.
TWICE = "F0459"
NULL = StrategyChoice("null_rewrite", {})


@facts("erasure_affected_fields")
def test_fields_that_an_erasure_takes(fact: Fact) -> None:
    given = fact["input"]
    names = {"A": "user.name", "B": "user.contact", "C": "user.financial"}
    document = {
        "fides_key": "d",
        "collections": [
            {
                "name": "c",
                "fields": [
                    {"name": "key", "fides_meta": {"primary_key": True, "identity": "email"}},
                    *(
                        {"name": name, "data_categories": [names[each] for each in categories]}
                        for name, categories in given["categories"].items()
                    ),
                ],
            }
        ],
    }
    catalog = Catalog((BoundDataset(dataset_from(document, where="fact"), "db"),))
    if fact["id"] == TWICE:
        ((first,), (second,)) = given["erasure_rules_targets"]
        rules = (Rule("one", ActionType.ERASURE, (names[first],), None, NULL),
                 Rule("two", ActionType.ERASURE, (names[second],), None, NULL))  # fmt: skip
        assert "action conflict" in check_policy(Policy("p", rules))[0].message
        return
    targets = given["erasure_targets"]
    policy = policy_of({"erasure": [names[each] for each in targets], "access": ["user"]})
    fields = [mask.field for step in build_plan(policy, catalog, ["email"], region="US").steps for mask in step.masks]
    assert sorted(fields) == sorted(fact["expect"]["equals"])
