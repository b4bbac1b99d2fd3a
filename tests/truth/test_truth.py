"""A sample of random companies, a fixed one and a fresh one, and every company that once failed.

A failure prints the seed; `python -m truth --seed SEED --n 1 --shrink 1` makes it small and keeps it, and what was
mended becomes a fixture here. The long runs are `make prove`.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from truth.case import Finding
from truth.company import Column, Company, Ref, Rule, Store, Table
from truth.drive import Outcome
from truth.faults import FAULTS, QUICK, Fault, catch, plant
from truth.generator import generate
from truth.judge import examine
from truth.prove import Prover, prover
from truth.shapes import SHAPES
from truth.stores import Written

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.json"))
FIXED = range(24)
FRESH = 1  # more of them by `make prove`


@pytest.fixture(scope="module")
def machine(postgres_server: str, mariadb_server: str) -> Iterator[Prover]:
    with prover() as made:
        yield made


def test_every_shape_occurs() -> None:
    """Each switch of the generator falls now and then; what a company is made of is told before it runs."""
    seen = {shape for seed in range(500) for shape in generate(seed).shapes}
    assert seen == set(SHAPES)


def told(findings: list[Finding]) -> str:
    return "\n".join(f"{each.kind}: {each.text}" for each in findings[:8])


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_what_once_failed_holds(machine: Prover, file: Path) -> None:
    findings = machine.run(Company.from_json(file.read_bytes()))
    assert not findings, told(findings)


@pytest.mark.parametrize("first", FIXED[::4])
def test_companies_of_fixed_seeds(machine: Prover, first: int) -> None:
    for seed in range(first, first + 4):
        findings = machine.run(generate(seed))
        assert not findings, f"seed {seed}: {told(findings)}"


def test_fresh_companies(machine: Prover) -> None:
    first = secrets.randbelow(10**9)
    for seed in range(first, first + FRESH):
        findings = machine.run(generate(seed))
        assert not findings, f"seed {seed}: {told(findings)}"


@pytest.mark.parametrize("fault", [each for each in FAULTS if each.name in QUICK], ids=lambda each: each.name)
def test_a_planted_fault_is_found(postgres_server: str, fault: Fault) -> None:
    """`make prove-faults` plants all of them."""
    caught = catch(fault, seed=1, seconds=300)
    assert caught.found, f"{caught.companies} companies"


def test_a_fault_that_fits_no_more_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="stands 0 times"):
        plant(FAULTS[0]._replace(fragment="what stands nowhere"), tmp_path)


def test_every_fault_fits(tmp_path: Path) -> None:
    for number, fault in enumerate(FAULTS):
        plant(fault, tmp_path / str(number))
    assert len({each.name for each in FAULTS}) == len(FAULTS) >= 20
    assert {shape for each in FAULTS for shape in each.shapes} <= set(SHAPES)


def test_the_examiner_sees_lies(machine: Prover) -> None:
    """What was left, changed, shown or counted beside the truth is found: one lie at a time, on one company."""
    company = _small_company()
    outcomes = machine.outcomes(company)
    assert not examine(company, outcomes)
    for kind, lie in LIES.items():
        told_otherwise = copy.deepcopy(outcomes)
        lie(*told_otherwise)
        found = examine(company, told_otherwise)
        assert found, f"{lie.__name__} was not seen"
        assert found[0].kind == kind.split()[0], (kind, found)


def _small_company() -> Company:
    person = Table(
        "t0",
        "s0",
        "person",
        [
            Column("id", "int", nullable=False),
            Column("email", "text", identity="email", category="user.contact.email"),
        ],
        key=["id"],
    )
    order = Table(
        "t1",
        "s0",
        "order",
        [
            Column("id", "int", nullable=False),
            Column("person_id", "int"),
            Column("note", "text", category="user.content"),
        ],
        key=["id"],
    )
    person.rows = [{"id": 1, "email": "ada@example.com"}, {"id": 2, "email": "adb@example.com"}]
    order.rows = [{"id": 1, "person_id": 1, "note": "hers"}, {"id": 2, "person_id": 2, "note": "other"}]
    return Company(
        seed=0,
        stores=[Store("s0", "sqlite")],
        tables=[person, order],
        refs=[Ref("t1", ["person_id"], "t0", ["id"])],
        access=["user"],
        rules=[Rule(["user.content"], "null_rewrite")],
        phases=[[{"email": "ADA@example.com"}]],
    )


def _leaves_a_value(access: Outcome, erasure: Outcome) -> None:
    erasure.after["t1"][0]["note"] = "hers"


def _writes_a_neighbour(access: Outcome, erasure: Outcome) -> None:
    erasure.after["t1"][1]["note"] = None


def _shows_a_neighbour(access: Outcome, erasure: Outcome) -> None:
    package = access.answers[0].package
    assert package is not None
    package["s0:order"].append({"note": "other"})


def _forgets_a_row(access: Outcome, erasure: Outcome) -> None:
    package = access.answers[0].package
    assert package is not None
    del package["s0:order"]


def _loses_a_row(access: Outcome, erasure: Outcome) -> None:
    del erasure.after["t0"][1]


def _counts_wrong(access: Outcome, erasure: Outcome) -> None:
    erasure.answers[0].item["kept"] = {"shared_row": 1}


def _refuses_without_cause(access: Outcome, erasure: Outcome) -> None:
    erasure.answers[0].item |= {
        "status": "error",
        "reason": "refused",
        "reason_detail": {"code": "no_key"},
        "outcome": None,
    }
    erasure.answers[0].preview = None
    erasure.after = erasure.before


def _logs_wrong(access: Outcome, erasure: Outcome) -> None:
    for each in erasure.answers[0].logs:
        if each["status"] == "complete":
            each["counts"]["frozen"] += 1


def _foretells_wrong(access: Outcome, erasure: Outcome) -> None:
    erasure.answers[0].preview = {"s0:order": {"own": 2}}


def _receipt_does_not_add_up(access: Outcome, erasure: Outcome) -> None:
    told = erasure.answers[0].receipt
    assert told is not None
    told["receipt"]["erasure"]["s0:order"]["masked"] = 0


def _writes_too_early(access: Outcome, erasure: Outcome) -> None:
    erasure.early = [Written("t1", "UPDATE", ("1",))]


def _writes_and_writes_back(access: Outcome, erasure: Outcome) -> None:
    erasure.journal = [Written("t1", "UPDATE", ("1",)), Written("t1", "UPDATE", ("2",))]


def _writes_twice(access: Outcome, erasure: Outcome) -> None:
    erasure.journal = [Written("t1", "UPDATE", ("1",))] * 2


LIES = {
    "status log": _logs_wrong,
    "status preview": _foretells_wrong,
    "status receipt": _receipt_does_not_add_up,
    "foreign early": _writes_too_early,
    "foreign write": _writes_and_writes_back,
    "status twice": _writes_twice,
    "false_green value": _leaves_a_value,
    "foreign value": _writes_a_neighbour,
    "foreign shown": _shows_a_neighbour,
    "false_green row": _forgets_a_row,
    "foreign row": _loses_a_row,
    "status count": _counts_wrong,
    "refusal": _refuses_without_cause,
}
