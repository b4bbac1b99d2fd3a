"""Pushed-down masks equal `core.expression.evaluate`, for any text and any expression, on every engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectorbook import KEY, Harness, PlanBook, seed
from habeas.connectors.base import Connector
from habeas.core.expression import (
    Column,
    Concat,
    Constant,
    Digest,
    Expression,
    Hmac,
    Secret,
    Truncate,
    evaluate,
    reads_column,
)
from habeas.plan.model import Mask, Seed

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)
ALGORITHM = st.sampled_from(["sha256", "sha512"])
SECRET = st.sampled_from([Secret("a.salt"), Secret("a.key")])

EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(st.just(Column("note")), st.builds(Constant, TEXT), SECRET),
    lambda inner: st.one_of(
        st.builds(Concat, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Digest, ALGORITHM, inner),
        st.builds(Hmac, ALGORITHM, SECRET, inner),
        st.builds(Truncate, inner, st.integers(0, 140)),
    ),
    max_leaves=6,
)


@pytest.fixture
def notes(harness: Harness, connector: Connector) -> Iterator[PlanBook]:
    harness.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, account INTEGER, note TEXT)")
    return PlanBook(connector, erases=True)


def masked(
    book: PlanBook, harness: Harness, expression: Expression, texts: list[str | None], secrets: object
) -> list[object]:
    harness.run("DELETE FROM notes")
    harness.put("notes", [(n, n % 2, text) for n, text in enumerate(texts)])
    book.steps.clear()
    form = "pushed" if reads_column(expression) else "constant"
    book.step("notes", seeds=(Seed("account", "account"),), masks=(Mask("note", "r", "s", form, expression),))
    with book.found(seed("0", "account", 0), seed("1", "account", 1)) as reader:
        (chunk,) = reader.freeze(book.steps[0], KEY, secrets)  # type: ignore[arg-type] # texts by name and member
    assert chunk.owners == [n % 2 for n in range(len(texts))]
    return list(chunk.masked[0] or [None] * len(texts))


@given(
    expression=EXPRESSIONS,
    texts=st.lists(st.one_of(st.none(), TEXT), min_size=1, max_size=6),
    salts=st.lists(TEXT, min_size=2, max_size=2),
    keys=st.lists(st.one_of(TEXT, st.just("k" * 200)), min_size=2, max_size=2),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_pushed_masks_equal_pythons(
    notes: PlanBook,
    harness: Harness,
    expression: Expression,
    texts: list[str | None],
    salts: list[str],
    keys: list[str],
) -> None:
    secrets: Mapping[int, Mapping[str, str]] = {
        member: {"a.salt": salts[member], "a.key": keys[member]} for member in range(2)
    }
    mask = masked(notes, harness, expression, texts, secrets)
    if notes.steps[0].masks[0].form == "constant" and not _has_secret(expression):
        return  # a constant isn't frozen; its writing is tested with the writer
    expected = [
        None if text is None else evaluate(expression, {"note": text}, secrets[n % 2]) for n, text in enumerate(texts)
    ]
    assert mask == expected


def _has_secret(expression: Expression) -> bool:
    from habeas.core.expression import secret_names

    return bool(secret_names(expression))


@given(expression=EXPRESSIONS.filter(lambda each: not reads_column(each) and not _has_secret(each)))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_constant_masks_equal_pythons(notes: PlanBook, harness: Harness, expression: Expression) -> None:
    harness.run("DELETE FROM notes")
    harness.put("notes", [(0, 0, "old"), (1, 0, None)])
    notes.steps.clear()
    notes.step("notes", seeds=(Seed("account", "account"),), masks=(Mask("note", "r", "s", "constant", expression),))
    with notes.found(seed("0", "account", 0)) as reader:
        (chunk,) = reader.freeze(notes.steps[0], KEY, {0: {}})
    with notes.connector.writer("habeas/test/1", lambda: None) as writer:
        assert writer.mask(notes.steps[0], chunk) == 2
        assert writer.verify(notes.steps[0], chunk, KEY) == ([], [], [])
    assert harness.rows("SELECT note FROM notes ORDER BY id") == [(evaluate(expression, {}, {}),), (None,)]
