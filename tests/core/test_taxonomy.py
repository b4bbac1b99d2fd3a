"""The taxonomy: former keys, the dot boundary, the nearest key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.core.errors import BadInput
from habeas.core.taxonomy import CATEGORIES, FORMER, check_category, current, escaped, is_within, nearest

key = st.lists(st.text("abc_", min_size=1, max_size=3), min_size=1, max_size=5).map(".".join)


def test_the_taxonomy_has_all_keys_and_each_parent() -> None:
    assert len(CATEGORIES) == 85
    assert all(key.rpartition(".")[0] in CATEGORIES | {""} for key in CATEGORIES)


@given(key, key)
def test_a_category_is_within_its_parents_and_nothing_else(category: str, target: str) -> None:
    parts, wanted = category.split("."), target.split(".")
    assert is_within(category, target) == (parts[: len(wanted)] == wanted)


@given(key, key, key)
def test_within_is_a_partial_order(one: str, two: str, three: str) -> None:
    assert is_within(one, one)
    if is_within(one, two) and is_within(two, one):
        assert one == two
    if is_within(one, two) and is_within(two, three):
        assert is_within(one, three)


def test_the_boundary_is_a_dot() -> None:
    # fidesops compared text and took user.biometric_health for a target user.biometric: law 2 forbids that
    assert not is_within("user.biometric_health", "user.biometric")


@pytest.mark.parametrize("former", sorted(FORMER))
def test_every_former_key_is_accepted_with_a_warning(former: str) -> None:
    today, warning = check_category(former)
    assert today in CATEGORIES
    assert warning is not None
    assert today in warning
    assert former in warning


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ("user.provided.identifiable.contact.email", "user.contact.email"),
        ("user.provided.identifiable.contact", "user.contact"),
        ("user.provided.identifiable", "user"),
        ("user.financial.account_number", "user.financial.bank_account"),
        ("user.provided.identifiable.name.first", "user.name.first"),  # a former key and what is below it
        ("user.gender.legal", "user.demographic.gender"),
    ],
)
def test_former_keys_have_todays_name(former: str, today: str) -> None:
    assert current(former) == today


def test_a_former_branch_whose_leaves_moved_elsewhere_says_so() -> None:
    assert escaped("user.credentials") == ("user.authorization.biometric", "user.authorization.password")
    assert escaped("user.provided.identifiable") == escaped("user.contact") == ()
    assert "user.authorization.password" in (check_category("user.credentials")[1] or "")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("user.contact.emial", "user.contact.email"),
        ("email", "user.contact.email"),
        ("user.email", "user.contact.email"),
        ("users.name", "user.name"),
        ("user.provided.identifiable.contact.emial", "user.contact.email"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(wrong: str, right: str) -> None:
    assert nearest(wrong) == right
    with pytest.raises(BadInput, match=f"did you mean {right}") as caught:
        check_category(wrong)
    assert wrong in caught.value.message


def test_keys_of_ones_own_are_accepted_where_declared() -> None:
    assert check_category("user.loyalty", extra=frozenset(("user.loyalty",))) == ("user.loyalty", None)
    with pytest.raises(BadInput):
        check_category("user.loyalty")
