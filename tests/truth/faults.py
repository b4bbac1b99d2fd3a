"""The prover is proven: faults planted in a copy of habeas, one at a time, each of which must be found.

A fault is a fragment of source and what takes its place; a fragment that isn't found any more, or that no longer
stands once, fails loudly. `python -m truth.faults` plants all of them; `--only NAME` one. A crash of the prover
isn't a find: only the judge's own findings count.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Fault(NamedTuple):
    """One fault: the file below src/habeas, the fragment, and what takes its place. Only companies with all of
    `shapes` are tried, since others can't show it.
    """

    name: str
    file: str
    fragment: str
    replacement: str
    shapes: tuple[str, ...] = ()


class Catch(NamedTuple):
    """What came of a fault: after how many companies and seconds it was found, and how; `found` None if not."""

    fault: Fault
    companies: int
    seconds: float
    found: str | None


FAULTS = (
    Fault(
        "tuple keys joined with OR",
        "connectors/sql/dialect.py",
        """        on = " AND ".join(
            self.equal(each.left""",
        """        on = " OR ".join(
            self.equal(each.left""",
        ("composite reference",),
    ),
    Fault(
        "the chunks after the first dropped",
        "connectors/sql/reader.py",
        "        while batch := list(islice(rows, size)):\n            yield batch, freezing.valued",
        "        if batch := list(islice(rows, size)):\n            yield batch, freezing.valued",
        ("batches of a few rows",),
    ),
    Fault(
        "joint rows not frozen",
        "connectors/sql/reader.py",
        '("sole",) if sole else ("single", "joint")',
        '("sole",) if sole else ("single",)',
        ("cohort of several", "two owners"),
    ),
    Fault(
        "a frame of a package dropped",
        "requests/packaging.py",
        "    for frame in rows.frames:",
        "    for frame in rows.frames[:1]:",
        ("batches of a few rows",),
    ),
    Fault(
        "the shared-row query inverted",
        "connectors/sql/statements.py",
        'AS f ON {known} WHERE f.m IS NULL"',
        'AS f ON {known} WHERE f.m IS NOT NULL"',
        ("two owners",),
    ),
    Fault(
        "verification skipped",
        "execute/erasure.py",
        "        if not seen.untouched and not seen.changed:\n            kept",
        "        if True:\n            kept",
        ("trigger that restores",),
    ),
    Fault(
        "truncation ignored",
        "plan/masks.py",
        "    length = target.type.length if target.type.family is TypeFamily.TEXT else None",
        "    length = None",
        ("length limit", "strategy hash"),
    ),
    Fault(
        "a falsy key dropped between stores",
        "connectors/sql/reader.py",
        "                if all(value is not None for value in values):\n                    yield",
        "                if all(values):\n                    yield",
        ("cross-store reference",),
    ),
    Fault(
        "every row written twice",
        "execute/erasure.py",
        "                _write(context, writer, step, chunk)\n            reach",
        "                [_write(context, writer, step, chunk) for _ in range(2)]\n            reach",
        ("trigger",),
    ),
    Fault(
        "rows shown to another member of the cohort",
        "execute/access.py",
        "                spooler.add(member, shown, run)",
        "                spooler.add((member + 1) % len(context.members), shown, run)",
        ("cohort of several",),
    ),
    Fault(
        "lineage swapped between two cohort members",
        "connectors/sql/reader.py",
        "                    yield row[:width], member\n",
        "                    yield row[:width], member ^ 1\n",
        ("cohort of several",),
    ),
    Fault(
        "a stale epoch goes on writing",
        "requests/attempt.py",
        '            raise Fenced("another attempt owns the cohort", where=self.cohort_id)\n\n    def advance',
        "            return\n\n    def advance",
        ("taken over by another executor",),
    ),
    Fault(
        "NULL matches NULL",
        "connectors/sql/dialect.py",
        """            self.equal(each.left, each.right, (each.column, each.other))
            if each.other
            else self""",
        """            f"({self.equal(each.left, each.right, (each.column, each.other))}"
            f" OR ({each.left} IS NULL AND {each.right} IS NULL))"
            if each.other
            else self""",
        ("joined by text", "null identity", "several identities"),
    ),
    Fault("case folding dropped", "core/identity.py", ".strip().casefold()", ".strip()"),
    Fault(
        "a phone's extension ignored",
        "core/identity.py",
        '    return f"{e164};ext={number.extension}" if number.extension else e164',
        "    return e164",
        ("several identities", "phone identity"),
    ),
    Fault(
        "decoys match by their prefix",
        "connectors/sql/seeds.py",
        "        return sorted(wanted.get(canonical(seed.kind, text, seed.region), ()))",
        "        form = canonical(seed.kind, text, seed.region)\n"
        "        return sorted({each for one, who in wanted.items() if form[:9] == one[:9] for each in who})",
        ("decoy",),
    ),
    Fault(
        "written before it was frozen",
        "execute/erasure.py",
        "    settle_deletes(context, freezer, result.tallies)\n    try_writes",
        "    write_steps(context, freezer, [step for step in written if not step.delete])\n"
        "    settle_deletes(context, freezer, result.tallies)\n    try_writes",
        ("writes noted by triggers",),
    ),
    Fault(
        "kept rows counted once for all members",
        "execute/freeze.py",
        "self.kept.setdefault(reason, Counts()).add(member, rows)",
        "self.kept.setdefault(reason, Counts()).add(0, rows)",
        ("cohort of several",),
    ),
    Fault(
        "a receipt counts another member's rows",
        "execute/receipt.py",
        "    frozen, vanished = tally.frozen.of(member), ",
        "    frozen, vanished = tally.frozen.of(0), ",
        ("cohort of several",),
    ),
    Fault(
        "logs count rows of one member",
        "execute/access.py",
        '    counts = {"rows": result.rows[step.index].total()}',
        '    counts = {"rows": max(result.rows[step.index].runs()[::2], default=0)}',
        ("cohort of several",),
    ),
    Fault(
        "person rule skipped",
        "connectors/sql/statements.py",
        "            case _ if target.people:\n                return Standing.PERSON",
        "            case _ if target.people:\n                return Standing.OWN",
        ("sales rep",),
    ),
    Fault(
        "context rows written",
        "connectors/sql/statements.py",
        '            case "context":\n                return Standing.CONTEXT',
        '            case "context":\n                return Standing.OWN',
        ("declared context",),
    ),
    Fault(
        "a declared shared row taken for her own",
        "connectors/sql/statements.py",
        '            case "shared":\n                return Standing.SHARED',
        '            case "shared":\n                return Standing.OWN',
        ("declared shared",),
    ),
    Fault(
        "a reference followed against its direction",
        "plan/traverse.py",
        '    if edge.flow == "left_to_right" or hops[edge.left] <= hops[edge.right]:',
        "    if hops[edge.left] <= hops.get(edge.right, 0):",
    ),
    Fault(
        "substitutes missing",
        "plan/masks.py",
        "            substitute = _substitute(target, unfit)\n",
        "            substitute = Kept(target.selected.path, 'key_kept')\n",
    ),
    Fault(
        "a unique column gets a constant",
        "plan/masks.py",
        '    return "unique" if isinstance(expression, Constant) and target.unique else None',
        "    return None",
        ("unique column", "strategy string_rewrite"),
    ),
    Fault(
        "a delete before its child",
        "plan/deletes.py",
        "        yield from ((other.index, step.index) for other in free if not _is_free",
        "        yield from ((step.index, other.index) for other in free if not _is_free",
        ("row deletion", "rows that point to deleted ones"),
    ),
    Fault(
        "rows that others point to are deleted",
        "connectors/sql/holding.py",
        '    if step.on_referenced in ("cascade", "null"):\n        return',
        '    if step.on_referenced != "refuse":\n        return',
        ("row deletion", "rows that point to deleted ones"),
    ),
    Fault(
        "a cascade ends after one level",
        "plan/deletes.py",
        "        if deletes:\n            self._delete(step)",
        "        if deletes:\n            pass",
        ("on_referenced cascade", "rows that point to deleted ones"),
    ),
    Fault(
        "others' identifying fields shown in shared rows",
        "execute/access.py",
        "if shown is None or not each.identifying or each.path in shown]",
        "]",
        ("two owners",),
    ),
    Fault(
        "an access reads what is another member's too",
        "execute/access.py",
        "    alone, seeds = context.plan.alone, context.seeds",
        "    alone, seeds = context.plan, context.seeds",
        ("cohort of several", "two owners", "access and erasure in one policy"),
    ),
    Fault(
        "looking ends after the first round",
        "connectors/sql/reader.py",
        "            if not changed:\n                return total\n            total += changed",
        "            return total + changed",
        ("chain",),
    ),
    Fault(
        "a declared exception erased",
        "plan/masks.py",
        "        if prepared.strategy.keeps:\n            return Kept",
        "        if prepared.strategy.keeps and len(path) % 2:\n            return Kept",
        ("preserve",),
    ),
    Fault(
        "the second identity of a person not looked for",
        "connectors/sql/reader.py",
        "                for seed in step.seeds\n",
        "                for seed in step.seeds[:1]\n",
        ("several identities", "phone identity"),
    ),
    Fault(
        "a row held back is never looked at again",
        "connectors/sql/reader.py",
        "        if newest <= self._judged.get(link.id, 0):\n            return 0",
        "        if self._judged.get(link.id, 0):\n            return 0",
    ),
    Fault(
        "a foreign key of a table in no dataset forgotten",
        "plan/ownership.py",
        "        if not self._graph.step_of(node.bound.connection, holder):\n",
        "        if False:\n",
        ("table in no dataset", "pointed to"),
    ),
    Fault(
        "neighbours' array elements shown",
        "core/nested.py",
        "        return [keep_elements(element, entries) for element in value if is_wanted(element, entries)]",
        "        return [keep_elements(element, entries) for element in value]",
        ("nested",),
    ),
    Fault(
        "neighbours' array elements masked",
        "core/nested.py",
        "    return not entries or is_wanted(element, entries)",
        "    return True",
        ("nested",),
    ),
)
QUICK = ("the shared-row query inverted", "case folding dropped", "a receipt counts another member's rows")


def plant(fault: Fault, root: Path) -> Path:
    """A copy of the package with the fault in it, below `root`; the folder to be put on PYTHONPATH."""
    source = root / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    file = source / "habeas" / fault.file
    text = file.read_text()
    assert text.count(fault.fragment) == 1, f"{fault.name}: the fragment stands {text.count(fault.fragment)} times"
    file.write_text(text.replace(fault.fragment, fault.replacement))
    return source


def catch(fault: Fault, *, seed: int, seconds: float) -> Catch:
    """Run companies in a process of its own until the fault is found or the time is over. Where it is found, habeas
    without the fault must show nothing.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        source = plant(fault, Path(folder))
        shapes = [f"--with={shape}" for shape in fault.shapes]
        said, lines = _run(source, "--seed", str(seed), "--until-found", str(seconds), *shapes)
    tried = [line for line in lines if line.startswith("tried ")]
    assert tried, f"{fault.name}: the prover itself failed: {said}"
    found = next((line.removeprefix("found ") for line in lines if line.startswith("found ")), None)
    if found is not None:
        said, lines = _run(ROOT / "src", "--n", "1", "--seed", found.split()[0])
        assert "0 failed {}" in lines, f"without the fault {fault.name} something is found as well: {lines} {said}"
    return Catch(fault, int(tried[-1].split()[1]), time.monotonic() - began, found)


def _run(source: Path, *options: str) -> tuple[str, list[str]]:
    """The end of what the prover said of itself, and its lines, with this habeas."""
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "truth", "--kinds", "sqlite", *options]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return ended.stderr[-800:], ended.stdout.splitlines()


def main() -> int:
    """Plant faults and tell; 1 where one wasn't found."""
    parser = argparse.ArgumentParser(prog="truth.faults", description=__doc__)
    parser.add_argument("--only", action="append", help="part of a fault's name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=300, help="at most, for one fault")
    options = parser.parse_args()
    chosen = [each for each in FAULTS if not options.only or any(part in each.name for part in options.only)]
    missed = []
    for fault in chosen:
        try:
            caught = catch(fault, seed=options.seed, seconds=options.seconds)
        except AssertionError as error:
            caught = Catch(fault, 0, 0, None)
            sys.stdout.write(f"{error}\n")
        how = caught.found or "NOT FOUND"
        sys.stdout.write(f"{fault.name}: {caught.companies} companies, {caught.seconds:.0f} s: {how[:160]}\n")
        sys.stdout.flush()
        missed += [] if caught.found else [fault.name]
    sys.stdout.write(f"{len(chosen) - len(missed)} of {len(chosen)} faults found\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
