"""Rows that hold others back, to be compared with what an erasure left: their keys and present digests. Text only.

Asked only where rows are held back by a collection of which the ledger knows rows, and only for those that not more
rows hold back than it knows: a row among thousands of living neighbours isn't counted again by each request.
"""

from __future__ import annotations

from collections.abc import Sequence

from habeas.connectors.sql import reading
from habeas.connectors.sql.dialect import Dialect
from habeas.connectors.sql.statements import NOBODY, Names, SegmentStatements, Witness
from habeas.core.schema import RemainsOf
from habeas.plan.model import Link, Step


def covered_by(step: Step) -> RemainsOf:
    """What a digest of the step's rows covers: all columns that the plan knows of them."""
    return RemainsOf(
        step.fingerprint,
        tuple(column.name for column in step.stored),
        tuple(column.type for column in step.stored),
        step.rekeys,
    )


def can_be_told(step: Step, covered: RemainsOf) -> bool:
    """Whether the digest can still be made: of a table that changed, where what it covers is as it was."""
    if covered.fingerprint == step.fingerprint:
        return True
    present = {(column.name, column.type) for column in step.stored}
    return present.issuperset(zip(covered.columns, covered.types, strict=True))


def texts_of(dialect: Dialect, covered: RemainsOf, row: str) -> list[str]:
    """The texts that the digest is made of."""
    pairs = zip(covered.columns, covered.types, strict=True)
    return [dialect.text_of(f"{row}.{dialect.quote(name)}", kind) for name, kind in pairs]


def holders(statements: SegmentStatements, link: Link, witness: Witness, covered: RemainsOf, most: int) -> str:
    """Rows of the witness's step that hold back rows which the link reached: key, digest."""
    names = statements.names[statements.step_of(link).index]
    other = statements.names[witness.step if witness.step is not None else link.source]
    pointing = [f"{part} AS p{index}" for index, part in enumerate(other.parts("p"))]
    chosen = f"DISTINCT c.m AS m, {names.listed('c')}, {', '.join(pointing)}"
    held = statements.held(link, witness, chosen)
    return _digested(statements, other, names.keys, held, covered, most)


def far_holders(statements: SegmentStatements, link: Link, covered: RemainsOf, most: int) -> str:
    """Rows of the link's source that point, as the subject's do, to what the link reaches in another store."""
    source = statements.names[link.source]
    keys = [f"k{index}" for index in range(len(link.source_columns))]
    values = [f"d.v{index} AS {key}" for index, key in enumerate(keys)]
    pointing = [f"{part} AS p{index}" for index, part in enumerate(source.parts("p"))]
    held = reading.others_that_point(statements, link, ", ".join([*values, *pointing]))
    return _digested(statements, source, keys, held, covered, most, reading.departing_values(statements, link))


def nobodys(statements: SegmentStatements, names: Names) -> str:
    """Keys of rows that were found to be nobody's."""
    return f"SELECT {', '.join(statements.key_reads(names, 'h'))} FROM {names.found} AS h WHERE h.s = {NOBODY}"


def _digested(
    statements: SegmentStatements,
    other: Names,
    keys: Sequence[str],
    held: str,
    covered: RemainsOf,
    most: int,
    departing: str = "",
) -> str:
    dialect = statements.dialect
    listed = ", ".join(["m", *keys])
    same = " AND ".join(f"few.{name} = held.{name}" for name in ("m", *keys))
    row = " AND ".join(f"{part} = held.p{index}" for index, part in enumerate(other.parts("t")))
    chosen = [*statements.key_reads(other, "t"), dialect.row_digest(texts_of(dialect, covered, "t"))]
    return (
        f"WITH {f'd AS ({departing}), ' if departing else ''}held AS ({held}), "
        f"few AS (SELECT {listed} FROM held GROUP BY {listed} HAVING COUNT(*) <= {most:d}) "
        f"SELECT DISTINCT {', '.join(chosen)} FROM held JOIN few ON {same} JOIN {other.table} AS t ON {row}"
    )
