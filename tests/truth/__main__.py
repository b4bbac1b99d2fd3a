"""`python -m truth --n 200 --seed 1`: run random companies; `--replay FILE` one that was kept."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path

import structlog

from truth.case import Finding
from truth.company import Company
from truth.generator import KINDS, generate
from truth.prove import Prover, Report, prover
from truth.shrink import shrink


def main() -> int:
    """Run and tell; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="truth", description=__doc__)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--shrink", type=int, default=0, help="how many failures to shrink")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/habeas-truth"), help="where reproducers go")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--until-found", type=float, metavar="SECONDS", help="stop at the first finding, as for faults")
    parser.add_argument("--tally", type=Path, help="a file that is kept up to date with what was covered")
    parser.add_argument("--with", dest="shapes", action="append", default=[], help="a shape that companies must have")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with prover() as machine:
        if options.until_found:
            chosen = _companies(options.seed, tuple(options.kinds.split(",")), frozenset(options.shapes))
            return _until_found(machine, chosen, options.until_found)
        if options.replay:
            companies: Iterable[Company] = [Company.from_json(options.replay.read_bytes())]
        else:
            kinds = tuple(options.kinds.split(","))
            companies = islice(_companies(options.seed, kinds, frozenset(options.shapes)), options.n)
        began = time.monotonic()
        if options.tally:
            machine.tally = options.tally

        def tell(company: Company, findings: list[Finding]) -> None:
            _say(f"seed {company.seed}: {len(findings)} findings")
            for each in findings[: 20 if options.verbose or options.replay else 3]:
                _say(f"  {each.kind}: {each.text[:600]}")

        report = machine.prove(companies, tell)
        _summary(report, time.monotonic() - began)
        for company, findings in report.failures[: options.shrink]:
            small, left = shrink(company, findings, machine.run)
            options.keep.mkdir(parents=True, exist_ok=True)
            file = options.keep / f"seed{company.seed}.json"
            file.write_bytes(small.to_json())
            rows = sum(len(each.rows) for each in small.tables)
            _say(f"seed {company.seed} shrunk to {len(small.tables)} tables, {rows} rows: {file}")
            for each in left[:5]:
                _say(f"  {each.kind}: {each.text[:600]}")
    return 1 if report.failures else 0


def _companies(seed: int, kinds: tuple[str, ...], shapes: frozenset[str]) -> Iterator[Company]:
    """Companies of seeds from this one on that have these shapes."""
    for each in count(seed):
        company = generate(each, kinds)
        if shapes <= set(company.shapes):
            yield company


def _until_found(machine: Prover, companies: Iterator[Company], seconds: float) -> int:
    """Companies until the judge finds something or the time is over; a crash, ours or habeas', isn't a find."""
    deadline, number = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        company = next(companies)
        findings = [each for each in machine.run(company) if each.kind != "crash" and "internal" not in each.text]
        number += 1
        if findings:
            _say(f"found {company.seed} {findings[0].kind}: {findings[0].text[:300]}")
            break
    _say(f"tried {number}")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _summary(report: Report, seconds: float) -> None:
    """What was done, refused, found and covered."""
    kinds = Counter(findings[0].kind for _, findings in report.failures)
    rate = report.companies / seconds * 60
    _say(f"{report.companies} companies, {report.served} of them on servers, in {seconds:.0f} s ({rate:.0f} a minute)")
    _say(f"{len(report.failures)} failed {dict(kinds)}")
    total = sum(report.requests.values())
    for name, times in report.requests.most_common():
        _say(f"  {times:6} {name}")
    _say(f"refused {sum(report.refusals.values())} of {total} requests: {dict(report.refusals.most_common())}")
    _say("covered: " + ", ".join(f"{name} {count}" for name, count in sorted(report.shapes.items())))


sys.exit(main())
