"""Makes a failing company smaller as long as it fails in the same way: fewer tables, references, columns, rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from truth.case import Finding
from truth.company import Company

Run = Callable[[Company], list[Finding]]
MOST_SECONDS = 90.0


def shrink(company: Company, findings: list[Finding], run: Run) -> tuple[Company, list[Finding]]:
    """The smallest company found within the time, and what is found in it."""
    kind = findings[0].kind
    deadline = time.monotonic() + MOST_SECONDS
    best, left = company, findings
    progress = True
    while progress and time.monotonic() < deadline:
        progress = False
        for smaller in _smaller(best):
            if time.monotonic() > deadline:
                break
            found = run(smaller)
            if found and found[0].kind == kind and not _broken(found[0].text):
                best, left, progress = smaller, found, True
                break
    return best, left


def _broken(text: str) -> bool:
    """Whether the candidate isn't a company any more, or fails otherwise."""
    return any(each in text for each in ("Violation", "Mismatch", "AssertionError", "KeyError", "OperationalError"))


def _copy(company: Company) -> Company:
    return Company.from_json(company.to_json())


def _smaller(company: Company) -> Iterator[Company]:
    """Candidates, the boldest first."""
    for parts in (_less_asked, _less_tables, _less_references, _less_rows, _less_columns, _less_keys):
        yield from parts(company)


def _less_asked(company: Company) -> Iterator[Company]:
    for number, phase in enumerate(company.phases):
        if len(company.phases) > 1:
            made = _copy(company)
            del made.phases[number]
            yield made
        for member in range(len(phase) if len(phase) > 1 else 0):
            made = _copy(company)
            del made.phases[number][member]
            yield made


def _less_tables(company: Company) -> Iterator[Company]:
    for table in company.tables:
        made = _copy(company)
        made.tables = [each for each in made.tables if each.id != table.id]
        made.refs = [each for each in made.refs if table.id not in (each.holder, each.target)]
        if any(each.described for each in made.tables):
            yield made


def _less_references(company: Company) -> Iterator[Company]:
    for number in range(len(company.refs)):
        made = _copy(company)
        del made.refs[number]
        yield made


def _less_rows(company: Company) -> Iterator[Company]:
    for table in company.tables:
        for size in (len(table.rows) // 2, 1):
            for start in range(0, len(table.rows), size or 1) if size else ():
                made = _copy(company)
                del made.table(table.id).rows[start : start + size]
                yield made


def _less_columns(company: Company) -> Iterator[Company]:
    for table in company.tables:
        used = {each.generated for each in table.columns} | {"rev", *table.key}
        for ref in company.refs:
            used.update(ref.columns if ref.holder == table.id else ())
            used.update(ref.target_columns if ref.target == table.id else ())
        for column in table.columns:
            if column.name in used:
                continue
            made = _copy(company)
            smaller = made.table(table.id)
            smaller.columns = [each for each in smaller.columns if each.name != column.name]
            for row in smaller.rows:
                row.pop(column.name, None)
            yield made


def _less_keys(company: Company) -> Iterator[Company]:
    for number, ref in enumerate(company.refs):
        if ref.fk and ref.declared:
            made = _copy(company)
            made.refs[number].fk = None
            yield made
