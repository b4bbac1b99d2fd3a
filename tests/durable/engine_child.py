"""A small process with an engine, to be killed: it counts in steps, each leaving a line in a file.

    engine_child.py URL EXECUTOR FILE start ID | resume

Line `begin N` is written inside step N, before the pause in which it is killed; `ended` after the last.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from habeas.durable.dbos_engine import DbosEngine
from habeas.durable.port import Steps

STEPS = 5


def main(url: str, executor: str, file: str, command: str, workflow_id: str = "") -> None:
    def note(text: str) -> None:
        with Path(file).open("a") as out:
            out.write(f"{text}\n")

    def step(number: int) -> int:
        note(f"begin {number}")
        time.sleep(0.15)
        return number * number

    def count(steps: Steps, subject: str) -> None:
        results = [steps.run(f"step {number}", lambda number=number: step(number)) for number in range(STEPS)]
        note(f"ended {subject} {results}")

    engine = DbosEngine(url, executor)
    engine.register("count", count)
    engine.launch()
    if command == "start":
        engine.start("count", workflow_id, "subject-1")
    else:
        engine.resume(engine.pending())
    while "ended" not in Path(file).read_text() or engine.pending():
        time.sleep(0.02)
    os._exit(0)


main(*sys.argv[1:])
