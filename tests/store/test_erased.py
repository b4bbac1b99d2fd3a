"""Which rows the ledger takes for nobody's: those that are as an erasure left them, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from habeas.core.schema import ColumnType, RemainsOf, TypeFamily
from habeas.store import ledger
from habeas.store.erased import ErasedRows
from habeas.store.session import Database

SECRET = b"s" * 32
LEFT, OTHER = b"l" * 32, b"o" * 32
OF = RemainsOf("f1", ("id", "email"), (ColumnType(TypeFamily.INTEGER, "integer"),) * 2)


def keep(database: Database, cohort: str, keys: Sequence[Sequence[Any]], *digests: bytes) -> None:
    remains = ledger.Remains(OF, digests) if digests else None
    size = len(keys[0])
    row = ledger.row_of(
        cohort, "shop:people", 0, keys, [b"d" * 32] * size, [0] * size, {}, secret=SECRET, remains=remains
    )
    with database.begin() as connection:
        ledger.append_rows(connection, [row])


@pytest.mark.parametrize("keys", [[[1, 2, 3]], [["a", "b", "c"]], [[1, 1, 1], ["a", "b", "c"]]])
def test_a_row_is_nobodys_only_as_it_was_left(database: Database, keys: list[list[Any]]) -> None:
    assert ErasedRows(database, SECRET, b"k").kinds("shop:people") == {}
    keep(database, "coh_1", keys, LEFT, LEFT, bytes(32))
    keep(database, "coh_2", keys)
    erased = ErasedRows(database, SECRET, b"k")
    assert erased.kinds("shop:people") == {OF: 3}
    assert erased.kinds("shop:orders") == {}
    first, second, third = zip(*keys, strict=True)
    asked = [(second, LEFT), (first, OTHER), (third, LEFT), ((9,), LEFT)]
    assert erased.among("shop:people", OF, asked) == [0]
    assert erased.among("shop:people", RemainsOf("f2", OF.columns, OF.types), asked) == []
