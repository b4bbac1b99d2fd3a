"""Compiling mask expressions to SQL. A secret is named by an ingredient and bound; it is never text.

Proven equal to `core.expression.evaluate` by test, on every dialect. Never evaluates anything itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from habeas.connectors.sql.dialect import Dialect, Ingredient
from habeas.core.expression import (
    Column,
    Concat,
    Constant,
    Digest,
    Expression,
    Hmac,
    Null,
    Secret,
    Truncate,
)


class Compiler:
    """Compiles expressions of one statement and gathers the ingredients it must bind.

    `column_text` gives the canonical text of a column; `ingredients[i]` is column c<i> of the relation x.
    """

    def __init__(self, dialect: Dialect, column_text: Callable[[str], str], prefix: str = "e") -> None:
        self._dialect = dialect
        self._column_text = column_text
        self._prefix = prefix
        self.ingredients: list[Ingredient] = []
        self.constants: dict[str, str | int | float | bool] = {}

    def compile(self, expression: Expression) -> str:
        """The SQL of the expression's value; constants and secrets are named in it, never held."""
        if isinstance(expression, Constant):  # without a cast: it takes the type of the column it is written to
            return self._constant(expression.value)
        return self._text(expression)

    def _text(self, expression: Expression) -> str:
        match expression:
            case Null():
                return "NULL"
            case Constant(value):
                return self._dialect.as_text(self._constant(str(value)))
            case Column(name):
                return self._column_text(name)
            case Secret(name):
                return self._reference(Ingredient(name))
            case Concat(parts):
                return "(" + " || ".join([self._text(part) for part in parts] or [self._text(Constant(""))]) + ")"
            case Digest(algorithm, of):
                return self._dialect.digest(algorithm, self._text(of))
            case Hmac(algorithm, key, of):
                return self._dialect.hmac(algorithm, key.name, self._text(of), self._reference)
            case Truncate(of, length):
                return self._dialect.truncate(self._text(of), length)
            case _ as never:
                assert_never(never)

    def _constant(self, value: str | int | float | bool) -> str:
        name = f"{self._prefix}{len(self.constants)}"
        self.constants[name] = value
        return self._dialect.parameter(name)

    def _reference(self, ingredient: Ingredient) -> str:
        if ingredient not in self.ingredients:
            self.ingredients.append(ingredient)
        return f"x.c{self.ingredients.index(ingredient)}"


def cut(expression: Expression, length: int | None) -> Expression:
    """The expression, its text cut to a column's length; numbers and NULL stay as they are."""
    if length is None or isinstance(expression, Null):
        return expression
    if isinstance(expression, Constant):
        return Constant(expression.value[:length]) if isinstance(expression.value, str) else expression
    return Truncate(expression, length)
