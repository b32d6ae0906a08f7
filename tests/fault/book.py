"""Load on several processes at once, and a book of every answer it got."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from http.client import HTTPConnection, HTTPException

import msgspec

from tests.api.running import wait_until
from tests.threads import beside

VALID, REVOKED = 200, 401


class Entry(msgspec.Struct, frozen=True):
    """Asked for a token that is valid or revoked (the status that is true), what was answered, and when."""

    true: int
    said: int
    at: float


class Book:
    """Asks for good and for revoked tokens in turn, on one connection a thread, as long as it is open."""

    def __init__(self, port: int, good: Sequence[str], revoked: Sequence[str], *, threads: int = 6) -> None:
        self.entries: list[Entry] = []
        self._port = port
        self._asked = [(VALID, token) for token in good] + [(REVOKED, token) for token in revoked]
        self._over = threading.Event()
        self._threads = threads

    def open(self) -> AbstractContextManager[None]:
        return beside(*[partial(self._ask, number) for number in range(self._threads)], over=self._over)

    def _ask(self, turn: int) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._over.is_set():
            turn += 1
            true, token = self._asked[turn % len(self._asked)]
            try:
                connection.request("GET", "/validate", headers={"Authorization": f"Bearer {token}"})
                response = connection.getresponse()
                response.read()
                self.entries.append(Entry(true, response.status, time.monotonic()))
            except (OSError, HTTPException):
                connection.close()
                self.entries.append(Entry(true, 0, time.monotonic()))
            # Load enough to meet every moment, and little enough for a busy machine.
            self._over.wait(0.002)
        connection.close()

    def wrong(self) -> Counter[tuple[int, int]]:
        """Answers that are neither true nor 503: what is true, what was said, how often."""
        return Counter((one.true, one.said) for one in list(self.entries) if one.said not in (one.true, 503))

    def seconds_until_well(self, began: float, *, streak: int = 60) -> float:
        """Wait until so many answers in a row are true; how long after `began` the first of them came."""

        def well() -> bool:
            last = self.entries[-streak:]
            return len(last) == streak and all(one.at > began and one.said == one.true for one in last)

        wait_until(well, what="the answers to be true again")
        unknown = [one.at for one in list(self.entries) if one.at > began and one.said == 503]
        return max(unknown, default=began) - began
