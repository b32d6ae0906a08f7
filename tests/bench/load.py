"""The load generator: runs wrk with wrk.lua once and returns what it counted."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from tests.bench import machine
from tests.bench.servers import BenchError, Server

SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Case:
    """One question to one server at one number of connections. `spec`: the arguments of wrk.lua.

    `share`: of the time given to each case; more for one whose answers are used up by those after it, less for those.
    """

    name: str
    server: Server
    path: str
    spec: dict[str, str]
    connections: int = 64
    share: float = 1.0


@dataclass(frozen=True)
class Sample:
    """One run. `busy`: the share of one core that the server used while asked.

    `cpu_us`: its CPU time per request, with what it did for them afterwards: usage, audit log, webhooks.
    """

    rps: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    busy: float
    requests: int
    wrong: int
    example: str


def measure(case: Case, seconds: float) -> Sample:
    """Run wrk once against the case, every answer checked. Raises BenchError if wrk fails or runs out of tokens."""
    command = ["wrk", "-t1", f"-c{case.connections}", f"-d{max(1, int(seconds * case.share))}s", "-s", str(SCRIPT)]
    command += [case.server.url + case.path, "--", f"run={token_hex(4)}"]
    command += [f"{key}={value}" for key, value in case.spec.items()]
    before = machine.cpu_seconds(case.server.pid)
    counted = _run(command, case, seconds + 30)
    cpu = machine.cpu_seconds(case.server.pid) - before
    # Else the next case shares its core with what this one has left to do.
    machine.wait_for_rest(case.server.pid)
    cpu_in_all = machine.cpu_seconds(case.server.pid) - before
    requests, elapsed = counted["requests"], counted["us"] / 1e6
    if counted["void"]:
        raise BenchError(f"{case.name}: more requests than tokens to spend")
    if not requests:
        raise BenchError(f"{case.name}: no answer from {case.server.name}")
    return Sample(
        rps=requests / elapsed,
        p50_ms=counted["p50"] / 1000,
        p99_ms=counted["p99"] / 1000,
        cpu_us=cpu_in_all * 1e6 / requests,
        busy=cpu / elapsed,
        requests=requests,
        wrong=counted["bad"] + counted["lost"] + abs(requests - counted["good"] - counted["bad"]),
        example=counted["sample"],
    )


def _run(command: list[str], case: Case, seconds: float) -> dict[str, int]:
    if shutil.which("wrk") is None:
        raise BenchError("wrk is not installed (Debian and Ubuntu: apt-get install wrk)")
    pinned = machine.pinned(command, machine.LOAD_CORES)
    try:
        done = subprocess.run(pinned, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{case.name}: wrk did not end within {seconds:.0f} s") from late
    for line in done.stdout.splitlines():
        if line.startswith("BENCH "):
            return json.loads(line.removeprefix("BENCH "))
    raise BenchError(f"{case.name}: wrk failed: {(done.stderr or done.stdout).strip()[-300:]}")
