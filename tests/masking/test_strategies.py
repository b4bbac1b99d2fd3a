"""Masks: fidesops' fixed vectors, NULL, reruns, and expression against Python."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.errors import BadInput
from habeas.core.expression import evaluate, reads_column, secret_names
from habeas.core.schema import TypeFamily
from habeas.dataset.model import StrategyChoice
from habeas.masking.base import row_key
from habeas.masking.registry import UnknownStrategy, strategies, strategy
from habeas.masking.sample import describe, mask_values
from habeas.masking.secrets import derive_secret, secret_bytes
from habeas.masking.strategies.aes_encrypt import nonce_of

NAMES = (
    "aes_encrypt",
    "hash",
    "hmac",
    "null_rewrite",
    "preserve",
    "random_string_rewrite",
    "random_value_rewrite",
    "string_rewrite",
)
CHOICES = {
    "null_rewrite": [{}],
    "string_rewrite": [
        {"rewrite_value": "gone"},
        {"rewrite_value": "", "format_preservation": {"suffix": "@example.com"}},
    ],
    "random_string_rewrite": [{}, {"length": 5, "format_preservation": {"suffix": "@example.com"}}],
    "random_value_rewrite": [{}, {"kind": "decimal", "size": 9, "scale": 2}, {"kind": "uuid"}],
    "hash": [{}, {"algorithm": "SHA-512"}, {"algorithm": "SHA_256", "format_preservation": {"suffix": "é"}}],
    "hmac": [{}, {"algorithm": "SHA_512"}, {"format_preservation": {"suffix": "@example.com"}}],
    "aes_encrypt": [{}, {"mode": "GCM", "format_preservation": {"suffix": "="}}],
    "preserve": [{}, {"reason": "tax law"}],
}
configured = st.sampled_from([(name, raw) for name, raws in CHOICES.items() for raw in raws])
texts = st.one_of(st.none(), st.just(""), st.text(), st.text(st.characters(min_codepoint=0x10000, codec="utf-8")))
seeds = st.binary(min_size=32, max_size=32)


def secrets_of(name: str, seed: bytes) -> dict[str, str]:
    return {each: derive_secret(seed, name, each) for each in strategy(name).secret_names}


def mask(
    name: str, raw: dict[str, object], value: str | None, secrets: dict[str, str], key: bytes = b"[1]"
) -> str | None:
    chosen = strategy(name)
    return chosen.mask(chosen.configure(raw), value, secrets, key)


@pytest.mark.parametrize(
    ("algorithm", "value", "expected"),
    [
        (None, "monkey", "1c015e801323afa54bde5e4d510809e6b5f14ad9b9961c48cbd7143106b6e596"),
        ("SHA-256", "tiger", "f37d3290343da298f2471fa8cff444d242052529e4fa27a1b9361bd1fdc02fd4"),
        ("SHA_256", "monkey", "1c015e801323afa54bde5e4d510809e6b5f14ad9b9961c48cbd7143106b6e596"),
        (
            "SHA-512",
            "monkey",
            "527ca44f5c95400d161c503e6ddad7be01941ec9e7a03c2201338a16ba8a36bb"
            "765a430bd6b276a590661154f3f743a3a91efecd056645b4ea13b4b8cf39e8e3",
        ),
    ],
)
def test_hash_gives_fidesops_digests(algorithm: str | None, value: str, expected: str) -> None:
    raw = {"algorithm": algorithm} if algorithm else {}
    assert mask("hash", raw, value, {"salt": "adobo"}) == expected


@pytest.mark.parametrize(
    ("algorithm", "key", "salt", "value", "expected"),
    [
        (
            "SHA-256",
            "test_key",
            "test_salt",
            "my_data",
            "df1e66dc2262ae3336f36294811f795b075900287e0a1add7974eacea8a52970",
        ),
        (
            "SHA-256",
            "test_key",
            "test_salt",
            "my_other_data",
            "fdc1f6389fbbb07174d4f15a4bbf0c0e2226a32ef2b288aa9a490e9fb91ce4bf",
        ),
        (
            "SHA-512",
            "test_key",
            "test_salt",
            "my_data",
            "0b4b968fa95510640bff35404ca89c146769e0a88cd4a6c15843176735a0820e"
            "ec0f6580a21fd2b6b30f130cef01ccb4c5ab1d63387c4153ce8fc507e52efbaf",
        ),
        (
            "SHA-256",
            "aksdjhflajsdf",
            "lqio3nrulionqwjlfkj",
            "I am a dog woof",
            "360a7d27a927d1fb3436e7edabe86cba5f96f671874975e628fb80245cc229ab",
        ),
        (
            "SHA-256",
            "aksdjhflajsdf",
            "lqio3nrulionqwjlfkj",
            "I am a cat meow",
            "16b688f2abfe0cd4e96263262eb265e2d7f1def24762a39da7f8e9c418f99509",
        ),
    ],
)
def test_hmac_gives_fidesops_digests(algorithm: str, key: str, salt: str, value: str, expected: str) -> None:
    assert mask("hmac", {"algorithm": algorithm}, value, {"key": key, "salt": salt}) == expected


def test_aes_nonce_is_fidesops() -> None:
    assert nonce_of("value", "other_key", "some_salt").hex() == "9459a85ad9128300a47e0a79"


@given(st.text(), seeds)
def test_aes_opens_again_with_its_key(value: str, seed: bytes) -> None:
    secrets = secrets_of("aes_encrypt", seed)
    masked = mask("aes_encrypt", {}, value, secrets)
    nonce = nonce_of(value, secrets["key_hmac"], secrets["salt_hmac"])
    opened = AESGCM(secret_bytes(secrets["key"])).decrypt(nonce, base64.b64decode(masked or ""), nonce)
    assert opened.decode() == value
    assert len(secret_bytes(secrets["key"])) == 32


@given(configured, texts, seeds)
def test_expression_equals_python(choice: tuple[str, dict[str, object]], value: str | None, seed: bytes) -> None:
    name, raw = choice
    chosen = strategy(name)
    configuration = chosen.configure(raw)
    expression = chosen.expression(configuration, "field", name)
    if expression is None:
        assert name in ("aes_encrypt", "random_string_rewrite", "random_value_rewrite")
        return
    secrets = {f"{name}.{key}": secret for key, secret in secrets_of(name, seed).items()}
    assert secret_names(expression) == set(secrets)
    if value is None and not reads_column(expression):
        return  # constants are written to rows that aren't NULL, see Constant
    assert evaluate(expression, {"field": value}, secrets) == mask(name, raw, value, secrets_of(name, seed))


@given(configured, texts, seeds, st.binary())
def test_rerun_writes_the_same_and_null_stays_null(
    choice: tuple[str, dict[str, object]], value: str | None, seed: bytes, key: bytes
) -> None:
    name, raw = choice
    first = mask(name, raw, value, secrets_of(name, seed), key)
    assert first == mask(name, raw, value, secrets_of(name, seed), key)
    if value is None:
        assert first is None


@given(seeds, seeds)
def test_secrets_differ_by_request_and_name(one: bytes, other: bytes) -> None:
    names = {derive_secret(one, "hash", "salt"), derive_secret(one, "hmac", "salt"), derive_secret(one, "hmac", "key")}
    assert len(names) == 3
    assert all(len(secret) == 43 for secret in names)
    assert (derive_secret(one, "hash", "salt") == derive_secret(other, "hash", "salt")) == (one == other)


@given(st.integers(1, 200), st.lists(st.integers(), unique=True, min_size=2, max_size=8))
def test_random_text_differs_by_row(length: int, keys: list[int]) -> None:
    secrets = secrets_of("random_string_rewrite", bytes(32))
    drawn = [mask("random_string_rewrite", {"length": length}, "x", secrets, row_key("a:b:c", [key])) for key in keys]
    assert all(text is not None and len(text) == length and text.isascii() and text.isalnum() for text in drawn)
    if length >= 16:
        assert len(set(drawn)) == len(keys)
    assert row_key("a:b:c", [1, None]) != row_key("a:b:d", [1, None]) != row_key("a:b:d", ["1", "null"])


def test_random_text_uses_the_whole_alphabet_evenly() -> None:
    text = mask("random_string_rewrite", {"length": 10_000}, "x", secrets_of("random_string_rewrite", bytes(32))) or ""
    counts = {letter: text.count(letter) for letter in set(text)}
    assert len(counts) == 36
    assert 180 < min(counts.values()) <= max(counts.values()) < 380


def test_random_text_without_a_key_is_refused() -> None:
    chosen = strategy("random_string_rewrite")
    with pytest.raises(BadInput, match="row's key"):
        chosen.mask(chosen.configure({}), "x", {"key": "k"}, None)


def test_length_cuts_the_mask_suffix_and_all() -> None:
    rewrite = strategy("string_rewrite")
    configuration = rewrite.configure(
        {
            "rewrite_value": "some rewrite value that is very long and goes on",
            "format_preservation": {"suffix": "@example.com"},
        }
    )
    assert rewrite.masker(configuration, {}, 40)("x", None) == "some rewrite value that is very long and"
    assert rewrite.masker(configuration, {}, 40)(None, None) is None
    assert rewrite.masker(rewrite.configure({"rewrite_value": "éé"}), {}, 1)("x", None) == "é"


def test_every_strategy_is_found_and_documented() -> None:
    assert tuple(each.name for each in strategies()) == NAMES
    described = {each["name"]: each for each in describe()}
    assert set(described) == set(NAMES)
    for each in described.values():
        assert each["description"]
        assert all(setting["description"] for setting in each["configurations"])
    assert described["string_rewrite"]["configurations"][1] == {
        "key": "rewrite_value",
        "optional": False,
        "description": "the text that replaces each value",
    }


def test_fits() -> None:
    whole = ["null_rewrite", "preserve", "random_value_rewrite"]
    assert [name for name in NAMES if strategy(name).fits(TypeFamily.INTEGER)] == whole
    assert all(strategy(name).fits(TypeFamily.TEXT) for name in NAMES)
    assert [name for name in NAMES if strategy(name).keeps] == ["preserve"]
    assert [name for name in NAMES if strategy(name).per_row] == ["random_string_rewrite", "random_value_rewrite"]


def test_unknown_strategy_names_the_valid_ones() -> None:
    with pytest.raises(
        UnknownStrategy, match=r"Strategy 'rot13' does not exist. Valid strategies are \[aes_encrypt, hash, hmac"
    ):
        strategy("rot13")


@pytest.mark.parametrize(
    ("given", "near"), [("hsh", "hash"), ("null_rewrit", "null_rewrite"), ("aes", None), ("rot13", None)]
)
def test_an_unknown_strategy_is_refused_with_the_nearest(given: str, near: str | None) -> None:
    with pytest.raises(UnknownStrategy) as refused:
        strategy(given)
    assert refused.value.fix == (near and f"did you mean {near}?")


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("hash", {"algorithm": "MD5"}, "algorithm: Input should be 'SHA-256' or 'SHA-512'"),
        ("hash", {"algorithm": 5}, "algorithm"),
        ("hmac", {"salt": "secret-value"}, "salt: Extra inputs are not permitted"),
        ("string_rewrite", {}, "rewrite_value: Field required"),
        ("random_string_rewrite", {"length": 0}, "length"),
        ("aes_encrypt", {"mode": "CBC"}, "mode: Input should be 'GCM'"),
        ("null_rewrite", {"anything": 1}, "no settings"),
        ("hash", {"format_preservation": {"prefix": "x"}}, "format_preservation"),
    ],
)
def test_bad_configuration_is_refused_without_its_value(name: str, raw: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        strategy(name).configure(raw)
    assert message in str(caught.value)
    assert "secret-value" not in str(caught.value)
    assert "MD5" not in str(caught.value)


def test_mask_values_runs_a_chain() -> None:
    chain = [StrategyChoice("string_rewrite", {"rewrite_value": "monkey"}), StrategyChoice("hash")]
    masked = mask_values(["a", None, "b"], chain, bytes(32))
    assert masked[0] == masked[2] == mask("hash", {}, "monkey", secrets_of("hash", bytes(32)))
    assert masked[1] is None
    assert mask_values([], chain, bytes(32)) == []
    drawn = mask_values(["a", "a"], [StrategyChoice("random_string_rewrite")], bytes(32))
    assert drawn[0] != drawn[1]


def test_mask_values_refuses_broken_unicode() -> None:
    with pytest.raises(BadInput, match=r"values\[1\]"):
        mask_values(["a", "\ud800"], [StrategyChoice("hash")], bytes(32))
