"""Sealing is bound to key, purpose and place; key files are made once, private, whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.errors import BadInput, HabeasError, Unavailable
from habeas.store.secrets import APP_KEY_FILE, SIGNING_KEY_FILE, Vault, open_vault


@dataclass(frozen=True)
class Given:
    data_dir: Path
    app_encryption_key: str | None = None


KEY, OTHER = "k" * 43, "o" * 43  # the same in every process that collects these tests


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return open_vault(Given(tmp_path, KEY))


def test_what_was_sealed_opens_again_and_never_looks_the_same(vault: Vault) -> None:
    first, second = (vault.seal("identities", b"jane@example.com", "pri_1") for _ in range(2))
    assert first != second
    assert b"jane" not in first
    assert vault.open("identities", first, "pri_1") == b"jane@example.com"
    assert vault.open_json("x", vault.seal_json("x", {"a": [1, None]}, "c"), "c") == {"a": [1, None]}


@pytest.mark.parametrize(("purpose", "context"), [("identities", "pri_2"), ("seed", "pri_1")])
def test_a_sealed_value_can_not_be_moved(vault: Vault, purpose: str, context: str) -> None:
    with pytest.raises(Unavailable):
        vault.open(purpose, vault.seal("identities", b"x", "pri_1"), context)


@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    vault = Vault((KEY,), Path("unused"))
    sealed = bytearray(vault.seal("identities", b"jane@example.com", "pri_1"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Unavailable):
        vault.open("identities", bytes(sealed), "pri_1")


def test_a_cut_value_is_refused(vault: Vault) -> None:
    sealed = vault.seal("identities", b"x", "c")
    for length in range(len(sealed)):
        with pytest.raises(Unavailable):
            vault.open("identities", sealed[:length], "c")


def test_a_wrong_app_key_is_named_without_showing_any(tmp_path: Path, vault: Vault) -> None:
    wrong = open_vault(Given(tmp_path, OTHER))
    with pytest.raises(Unavailable) as caught:
        wrong.open("identities", vault.seal("identities", b"jane@example.com", "c"), "c")
    message = str(caught.value)
    assert vault.key_id in message
    assert wrong.key_id in message
    assert KEY not in message
    assert OTHER not in message


def test_rotation_opens_the_old_and_seals_with_the_new(tmp_path: Path, vault: Vault) -> None:
    old = vault.seal("identities", b"x", "c")
    both = open_vault(Given(tmp_path, f"{OTHER}, {KEY}"))
    assert both.open("identities", old, "c") == b"x"
    new = both.seal("identities", b"x", "c")
    assert open_vault(Given(tmp_path, OTHER)).open("identities", new, "c") == b"x"
    assert vault.blind_index("email", "a@example.com") in both.blind_indexes("email", "a@example.com")
    assert vault.key("ledger") == both.keys("ledger")[1]


def test_blind_indexes_and_keys_differ_by_kind_purpose_and_app_key(tmp_path: Path, vault: Vault) -> None:
    other = open_vault(Given(tmp_path, OTHER))
    found = {
        vault.blind_index("email", "a"),
        vault.blind_index("phone_number", "a"),
        other.blind_index("email", "a"),
        vault.key("a"),
        vault.key("b"),
    }
    assert len(found) == 5
    assert vault.blind_index("email", "a") == open_vault(Given(tmp_path, KEY)).blind_index("email", "a")


@pytest.mark.parametrize("key", ["", "short", f"{KEY} short"])
def test_a_short_app_key_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadInput, match="fewer than 32") as caught:
        open_vault(Given(tmp_path, key))
    assert "short" not in str(caught.value)


def test_key_files_are_made_once_by_many_and_private(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    with ThreadPoolExecutor(8) as threads:
        vaults = list(threads.map(lambda _: open_vault(Given(directory)), range(16)))
        public = list(threads.map(lambda each: tuple(each.public_keys()), vaults))
    assert len({each.key_id for each in vaults}) == 1
    assert len(set(public)) == 1
    for file in (directory / APP_KEY_FILE, directory / "keys" / SIGNING_KEY_FILE):
        assert file.stat().st_mode & 0o777 == 0o600
    assert not list(directory.rglob(".*"))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe"])
def test_a_broken_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    for file in (tmp_path / APP_KEY_FILE, tmp_path / "keys" / SIGNING_KEY_FILE):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        with pytest.raises(HabeasError, match=file.name):
            open_vault(Given(tmp_path, KEY if file.name == SIGNING_KEY_FILE else None)).signing_key()
        file.unlink()


def test_a_data_directory_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="can't be read or made"):
        open_vault(Given(tmp_path / "file" / "below"))
