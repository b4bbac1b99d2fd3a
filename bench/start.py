"""How soon habeas is there: the command line, the server, and what an idle server holds in memory.

Each figure stands beside a reference of the same run: a bare Python interpreter for the command line, a bare
uvicorn with an empty application for the server. Goals: command line 0.3 s, server 2 s, idle 130 MB.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
BARE_SERVER = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive(); await send({"type": "lifespan.startup.complete"}); await receive()
        await send({"type": "lifespan.shutdown.complete"})
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="info"))
server.run()
"""


def seconds_of(*command: str) -> float:
    """The best of some runs: start to end."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - began)
    return best


def ready_server(command: list[str], environment: dict[str, str], mark: str) -> tuple[float, float]:
    """Seconds until the server says `mark`, and the megabytes that it and its children then hold (PSS)."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while not re.search(mark, process.stderr.readline()):
        assert process.poll() is None
    ready = time.perf_counter() - began
    time.sleep(2)  # idle is idle only after the start
    memory = _megabytes(process.pid)
    process.terminate()
    process.wait(15)
    return ready, memory


def _megabytes(pid: int) -> float:
    try:
        listed = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    held = int(re.search(r"Pss:\s+(\d+)", rollup)[1]) / 1024  # type: ignore[index]  # the kernel always writes it
    return held + sum(_megabytes(int(child)) for each in listed for child in each)


def main() -> None:
    """Measure and print."""
    print(f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")
    bare = seconds_of(sys.executable, "-c", "pass")
    version = seconds_of(sys.executable, "-m", "habeas", "--version")
    print(f"habeas --version     {version * 1000:7.0f} ms   {version / bare:5.1f} x python -c pass   goal 300 ms")
    environment = dict(os.environ)
    reference, _ = ready_server([sys.executable, "-c", BARE_SERVER], environment, "running on")
    serve = [sys.executable, "-m", "habeas", "serve", "--port", "0"]
    with tempfile.TemporaryDirectory() as folder:
        environment["HABEAS_DATA_DIR"] = folder
        first, _ = ready_server(serve, environment, "listens on")
        ready, both = ready_server(serve, environment, "listens on")
        _, web = ready_server([*serve, "--no-worker"], environment, "listens on")
    print(f"serve, first start   {first * 1000:7.0f} ms   {first / reference:5.1f} x bare uvicorn (makes all)")
    print(f"serve, ready         {ready * 1000:7.0f} ms   {ready / reference:5.1f} x bare uvicorn       goal 2000 ms")
    print(f"idle, web alone      {web:7.0f} MB                                  goal 130 MB")
    print(f"idle, with a worker  {both:7.0f} MB")


if __name__ == "__main__":
    main()
