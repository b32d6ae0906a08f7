"""An honest caller: asks for one good token every 5 ms over one connection, and remembers how long each answer took."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.bench.servers import Server

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
    """Ask until the block ends."""
    waits, over = Waits(), threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
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

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
