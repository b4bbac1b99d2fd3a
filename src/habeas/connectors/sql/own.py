"""Finding the subject's own fields in rows that are declared shared: a statement for each way to know them.

Only found rows of the step that finds them are looked at, and none that is some member's altogether: those are written
whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from habeas.connectors.base import SeedValue
from habeas.connectors.sql.seeds import SeedBatch, seed_batches
from habeas.connectors.sql.session import Row, Session
from habeas.connectors.sql.statements import SegmentStatements, column_of
from habeas.plan.model import Seed, Standing, Step


def claimed_rows(
    session: Session, statements: SegmentStatements, step: Step, values: Iterable[SeedValue]
) -> Iterator[tuple[Row, int]]:
    """Keys of shared rows that hold a member's own value, with the member; of documents all, to be opened later."""
    if step.masks[0].parts:
        for row in chain.from_iterable(session.stream(claim_documents(statements, step))):
            yield row[:-1], row[-1]
        return
    for seed in step.seeds:
        given = (each for each in values if seed.declared or each.is_telling)
        claim = claim_values(statements, step, seed)
        for batch in seed_batches(statements.dialect, step, seed, given):
            yield from _confirmed(session, claim, batch, len(step.key))


def _confirmed(session: Session, claim: Claim, batch: SeedBatch, width: int) -> Iterator[tuple[Row, int]]:
    for row in chain.from_iterable(session.stream(claim.statement, {"values": batch.bound})):
        if row[-1] in batch.members(row[width], row[width + 1] if claim.numbered else None):
            yield row[:width], row[-1]


class Claim(NamedTuple):
    """A select of shared rows: the key, the column's text, the number of the value it equals where the store tells,
    and the member for whom the row was found.
    """

    statement: str
    numbered: bool


def claim_values(statements: SegmentStatements, step: Step, seed: Seed) -> Claim:
    """Rows whose column may hold one of `values`, as a seed's candidates."""
    dialect, names = statements.dialect, statements.names[step.index]
    column, operand = column_of(step, seed.column), f"t.{dialect.quote(seed.column)}"
    chosen = f"{', '.join(statements.key_reads(names, 't'))}, {dialect.text_of(operand, column.type)}"
    if seed.match == "canonical" and seed.kind in ("email", "phone_number"):
        by = dialect.email_candidates if seed.kind == "email" else dialect.phone_candidates
        shared = _shared(statements, step)
        return Claim(
            f"SELECT {chosen}, h.m FROM {shared} JOIN {names.table} AS t ON {names.same_row('t', 'h')} "
            f"WHERE {by(operand, column)}",
            False,
        )
    lookup = dialect.lookup(names.table, column, indexed=False)
    joined = f"{lookup.joined} JOIN {_shared(statements, step)} ON {names.same_row('t', 'h')}"
    return Claim(f"SELECT {chosen}, w.n, h.m FROM {joined}", True)


def claim_documents(statements: SegmentStatements, step: Step) -> str:
    """All rows with a document: only who opens it can tell."""
    dialect, names = statements.dialect, statements.names[step.index]
    return (
        f"SELECT {', '.join(statements.key_reads(names, 't'))}, h.m FROM {_shared(statements, step)} "
        f"JOIN {names.table} AS t ON {names.same_row('t', 'h')} "
        f"WHERE t.{dialect.quote(step.masks[0].field)} IS NOT NULL"
    )


def _shared(statements: SegmentStatements, step: Step) -> str:
    """The found rows `h` (m, k0…) that are declared shared for a member and no member's own."""
    found = statements.names[step.origin]
    return (
        f"(SELECT d.m, {found.listed('d')} FROM {found.found} AS d LEFT JOIN {found.found} AS o "
        f"ON o.s = {Standing.OWN:d} AND {found.same_keys('o', 'd')} "
        f"WHERE d.s = {Standing.SHARED:d} AND o.m IS NULL) AS h"
    )
