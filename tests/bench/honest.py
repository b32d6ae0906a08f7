"""An honest caller: asks for one good token every 5 ms over one connection, and remembers how long each answer took.

A process of its own, which no work of the benchmark's holds up: `python -m tests.bench.honest PORT`, with the token's
secret as its first line of input, asks until its input ends and then writes what it saw.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from tests.bench import machine
from tests.bench.servers import ROOT, Server

EVERY_SECONDS = 0.005


@dataclass
class Waits:
    """Milliseconds of each answer, and answers that were no 200; `began` by the system's monotonic clock."""

    began: float = field(default_factory=time.monotonic)
    milliseconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """So much of all answers took no longer; 0 where none came."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        shown = f"p50 {self.percentile(0.5):.2f}, p99 {self.percentile(0.99):.1f}, slowest {self.percentile(1):.0f} ms"
        return shown + (f", {len(self.wrong)} WRONG such as {self.wrong[0]}" if self.wrong else "")


@contextmanager
def asking(server: Server, secret: str) -> Iterator[Waits]:
    """Ask until the block ends; what was seen is told behind it."""
    waits = Waits()
    command = machine.pinned([sys.executable, "-m", "tests.bench.honest", str(server.port)], machine.LOAD_CORES)
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as caller:
        try:
            assert caller.stdin
            assert caller.stdout
            print(secret, file=caller.stdin, flush=True)
            caller.stdout.readline()  # it has begun
            yield waits
        finally:
            seen, _ = caller.communicate()
            waits.__dict__.update(json.loads(seen))


def _ask(port: int, secret: str, over: threading.Event) -> Waits:
    waits, connection = Waits(), http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not over.wait(EVERY_SECONDS):
        began = time.monotonic()
        try:
            connection.request("GET", "/validate", headers={"Authorization": f"Bearer {secret}"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            waits.wrong.append(type(error).__name__)
            connection.close()
            continue
        waits.milliseconds.append((time.monotonic() - began) * 1000)
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
    print(json.dumps(asdict(_ask(int(sys.argv[1]), secret, over))))


if __name__ == "__main__":
    main()
