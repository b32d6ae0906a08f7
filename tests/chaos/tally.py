"""Who was told what: one-time tokens that worked, and tokens that were accepted after their end."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.fault.grouped import TOKENS, Site


class Asking:
    """A connection of its own, opened again when it is lost."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)

    def close(self) -> None:
        self._connection.close()

    def status(self, path: str, token: str) -> int:
        """0 where no answer came."""
        try:
            self._connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            response = self._connection.getresponse()
            response.read()
            return response.status
        except (OSError, HTTPException):
            self._connection.close()
            return 0


class Uses:
    """One-time tokens and how often each was accepted."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.accepted: Counter[str] = Counter()
        self.said: Counter[int] = Counter()
        self.issued: list[str] = []

    def issue(self, count: int) -> list[str]:
        """So many new ones."""
        new = [self._site.client.done("POST", "/api/one-time-tokens").json()["token"] for _ in range(count)]
        self.issued += new
        return new

    def spend(self, tokens: Iterable[str], *, pause_seconds: float = 0.0) -> None:
        """Ask for each once."""
        with closing(Asking(self._site.running.port)) as asking:
            for token in tokens:
                said = asking.status("/validate/one-time", token)
                self.said[said] += 1
                self.accepted[token] += said == 200
                time.sleep(pause_seconds)

    def twice(self) -> int:
        """How many were accepted more than once."""
        return sum(times > 1 for times in self.accepted.values())


class Used:
    """Managed tokens, validated over and over until it is told to stop."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._over = threading.Event()
        self.said: Counter[int] = Counter()

    def until_over(self) -> None:
        with closing(Asking(self._site.running.port)) as asking:
            while not self._over.wait(0.001):
                for token in self._site.good:
                    self.said[asking.status("/validate", token["token"])] += 1

    def stop(self) -> None:
        self._over.set()


class Ends:
    """Revocations, and what was said of each."""

    def __init__(self, site: Site, tokens: list[dict[str, str]]) -> None:
        self._site = site
        self._left = tokens
        self.said: Counter[int] = Counter()
        self.confirmed: list[dict[str, str]] = []
        self.came_back: set[str] = set()

    def end(self, count: int, *, pause_seconds: float = 0.0) -> None:
        """Revoke so many, one after another."""
        for _ in range(count):
            token = self._left.pop()
            said = self._site.client.ask("DELETE", f"{TOKENS}?id={token['id']}", bearer=self._site.admin).status
            self.said[said] += 1
            if said == 200:
                self.confirmed.append(token)
            time.sleep(pause_seconds)

    def watch(self, over: threading.Event) -> None:
        """Ask for the latest again and again."""
        while not over.wait(0.01):
            self.accepted_now(latest=15)

    def accepted_now(self, *, latest: int = 0) -> int:
        """How many are accepted that were said to be ended; of the `latest` so many, 0 for all."""
        with closing(Asking(self._site.running.port)) as asking:
            asked = self.confirmed[-latest:]
            back = {token["id"] for token in asked if asking.status("/validate", token["token"]) == 200}
        self.came_back |= back
        return len(back)


def footprint(site: Site) -> tuple[float, int]:
    """Resident MiB and open descriptors of all its processes."""
    resident = [
        int(line.split()[1])
        for pid in site.running.worker_pids()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]
    return sum(resident) / 1024, site.descriptors()
