"""An honest caller: asks for one good token every 5 ms over one connection, and remembers how long each answer took.

A process of its own, which no work of the benchmark's holds up: `python -m tests.bench.honest PORT PID...`, with the
token's secret as its first line of input, asks until its input ends and then writes what it saw. The processes are those
that an answer waits for.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import machine
from tests.bench.servers import ROOT

if TYPE_CHECKING:
    from tests.bench.place import Place

EVERY_SECONDS = 0.005


@dataclass
class Waits:
    """Milliseconds of each answer, and answers that were no 200; `began` by the system's monotonic clock.

    `served` are the same without the time in which the service, its store or the caller were ready and others had the
    core: on a machine that is shared, most of what is slow.
    """

    began: float = field(default_factory=time.monotonic)
    milliseconds: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """So much of all answers took no longer; 0 where none came."""
        return _percentile(self.milliseconds, share)

    @property
    def served_p99(self) -> float:
        return _percentile(self.served, 0.99)

    def __str__(self) -> str:
        shown = (
            f"p50 {self.percentile(0.5):.2f}, p99 {self.percentile(0.99):.1f} (with a core {self.served_p99:.1f}), "
            f"slowest {self.percentile(1):.0f} ms"
        )
        return shown + (f", {len(self.wrong)} WRONG such as {self.wrong[0]}" if self.wrong else "")


def _percentile(numbers: list[float], share: float) -> float:
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@contextmanager
def asking(place: "Place") -> Iterator[Waits]:
    """Ask until the block ends; what was seen is told behind it."""
    waits = Waits()
    told = [str(number) for number in (place.server.port, place.server.pid, place.store.pid)]
    command = machine.pinned([sys.executable, "-m", "tests.bench.honest", *told], machine.LOAD_CORES)
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as caller:
        try:
            assert caller.stdin
            assert caller.stdout
            print(place.secret, file=caller.stdin, flush=True)
            caller.stdout.readline()  # it has begun
            yield waits
        finally:
            seen, _ = caller.communicate()
            waits.__dict__.update(json.loads(seen))


def _without_core(pids: list[str]) -> float:
    """For how long these processes and this one were ready so far, and had no core; 0 where the kernel does not tell."""
    nanoseconds = 0
    for pid in (*pids, "self"):
        with suppress(OSError):
            nanoseconds += int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return nanoseconds / 1e6


def _ask(port: int, pids: list[str], secret: str, over: threading.Event) -> Waits:
    waits, connection = Waits(), http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not over.wait(EVERY_SECONDS):
        without, began = _without_core(pids), time.monotonic()
        try:
            connection.request("GET", "/validate", headers={"Authorization": f"Bearer {secret}"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            waits.wrong.append(type(error).__name__)
            connection.close()
            continue
        taken = (time.monotonic() - began) * 1000
        waits.milliseconds.append(taken)
        waits.served.append(max(0.0, taken - _without_core(pids) + without))
        if answer.status != 200:
            waits.wrong.append(str(answer.status))
    connection.close()
    return waits


def main() -> None:
    """Ask from another thread, until nobody waits for it."""
    over = threading.Event()
    secret = sys.stdin.readline().strip()
    print("asking", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print(json.dumps(asdict(_ask(int(sys.argv[1]), sys.argv[2:], secret, over))))


if __name__ == "__main__":
    main()
