"""`python -m truth --n 200 --seed 1`: run random companies; `--replay FILE` one that was kept."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from pathlib import Path

from truth.company import Company
from truth.generator import generate
from truth.judge import Finding
from truth.prove import Report, prover
from truth.shrink import shrink


def main() -> int:
    """Run and tell; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="truth", description=__doc__)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default="sqlite,postgres")
    parser.add_argument("--shrink", type=int, default=0, help="how many failures to shrink")
    parser.add_argument("--keep", type=Path, default=Path("/tmp/habeas-truth"), help="where reproducers go")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with prover() as machine:
        if options.replay:
            companies = [Company.from_json(options.replay.read_bytes())]
        else:
            kinds = tuple(options.kinds.split(","))
            companies = [generate(seed, kinds) for seed in range(options.seed, options.seed + options.n)]
        began = time.monotonic()

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


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _summary(report: Report, seconds: float) -> None:
    kinds = Counter(findings[0].kind for _, findings in report.failures)
    rate = report.companies / seconds * 60
    _say(f"{report.companies} companies in {seconds:.0f} s ({rate:.0f} a minute)")
    _say(f"{len(report.failures)} failed {dict(kinds)}")
    total = sum(report.requests.values())
    for name, count in report.requests.most_common():
        _say(f"  {count:6} {name}")
    _say(f"refused {sum(report.refusals.values())} of {total} requests: {dict(report.refusals.most_common())}")
    _say("covered: " + ", ".join(f"{name} {count}" for name, count in sorted(report.shapes.items())))


sys.exit(main())
