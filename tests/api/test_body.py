"""Strict JSON bodies: what is read equals what JSON means, and every fault names its line and column."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.api.body import MAX_DEPTH, parse_json
from habeas.core.errors import BadSyntax

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)

# The documented example as printed: a key without its closing quote, and a comma after the last entry.
DOCUMENTED = """[
  {
    "external_id": "a-user-defined-id",
    "requested_at: "2021-10-31T16:00:00.000Z",
    "policy_key": "a-demo-policy",
    "identities": [
      {
        "email": "identity@example.com",
        "phone_number": "+1 202 555 0114",
      }
    ]
  }
]"""


@given(json_values)
def test_reads_what_json_means(value: object) -> None:
    if "\ud800" <= max(json.dumps(value, ensure_ascii=False), default="") <= "\udfff":
        return
    try:
        text = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert parse_json(text) == value


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (DOCUMENTED, "line 4 column 21", "look for a missing quote"),
        (DOCUMENTED.replace("requested_at:", 'requested_at":'), "line 9 column 42", "comma before a closing bracket"),
        ('[{"a": 1,}]', "line 1 column 9", "comma before a closing bracket"),
        ("[1,\n 2,\n]", "line 2 column 3", "comma before a closing bracket"),
        ('{"a": "x\n"}', "line 1 column 9", "quote"),
        ('{"a": 1,\n "b": {"a": 2, "c": [3], "a": 4}}', "line 2 column 26", "twice"),
        ('{"a": NaN}', "line 1 column 7", "NaN"),
        ("[-Infinity]", "line 1 column 2", "Infinity"),
        ('["\\ud83d"]', "line 1 column 3", "surrogate"),
        ("", "line 1 column 1", "not JSON"),
        ("{'a': 1}", "line 1 column 2", "not JSON"),
        ("[1] 2", "line 1 column 5", "not JSON"),
    ],
)
def test_names_line_and_column(text: str, place: str, said: str) -> None:
    with pytest.raises(BadSyntax) as refusal:
        parse_json(text.encode())
    assert place in str(refusal.value)
    assert said in str(refusal.value)
    assert "identity@example.com" not in str(refusal.value)


def test_refuses_text_that_is_not_utf_8() -> None:
    with pytest.raises(BadSyntax, match="line 2 column 3"):
        parse_json(b'[\n "\xff"]')


def test_refuses_deep_nesting() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(BadSyntax, match="nested deeper"):
            parse_json(b"[" * depth + b"]" * depth)


def test_refuses_a_number_of_too_many_digits() -> None:
    with pytest.raises(BadSyntax, match="digits"):
        parse_json(b"[" + b"9" * 5000 + b"]")


def test_takes_a_byte_order_mark_and_paired_surrogates() -> None:
    assert parse_json(b'\xef\xbb\xbf["\\ud83d\\ude00"]') == ["\U0001f600"]
