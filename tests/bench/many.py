"""Work on many tokens at once, as a client asks for it request by request: changed by filter, exported, imported."""

import hashlib
import http.client
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.bench.client import Client
from tests.bench.servers import BenchError

TOKENS = "/api/admin/tokens"
CHANGED, IMPORTED = 10_000, 100_000
LINES_AT_ONCE = 5000


@dataclass(frozen=True)
class Done:
    """What it took for so many tokens: seconds in all and of the longest request; or what went wrong."""

    count: int
    seconds: float
    longest: float
    requests: int
    failure: str = ""

    def __str__(self) -> str:
        return (
            self.failure
            or f"{self.count:,} in {self.seconds:.1f} s, {self.requests} requests, longest {self.longest:.2f} s"
        )


def rows(client: Client) -> dict[str, Done]:
    """All that is measured, by name; what was imported stays, what was deactivated is activated again."""
    return {
        "deactivated by filter": _change(client, {"q": "scale 1", "status": "active"}, active=False),
        "activated by filter": _change(client, {"q": "scale 1", "status": "inactive"}, active=True),
        "exported": _timed(lambda: iter([_bytes(client, "GET", f"{TOKENS}/export", b"").count(b"\n")])),
        "imported": _timed(lambda: _import(client)),
    }


def _timed(steps: Callable[[], Iterator[int]]) -> Done:
    """Each step is a request, and yields how many tokens it was about."""
    counts, taken, began = [0], [0.0], time.monotonic()
    try:
        for count in steps():
            taken.append(time.monotonic() - began - sum(taken))
            counts.append(count)
    except (OSError, http.client.HTTPException, BenchError) as error:
        return Done(sum(counts), math.inf, math.inf, len(counts), f"{type(error).__name__} after {sum(counts):,}")
    return Done(sum(counts), sum(taken), max(taken), len(taken) - 1)


def _change(client: Client, wanted: dict[str, str], *, active: bool) -> Done:
    expected = client.must("POST", f"{TOKENS}/revoke", {"filter": wanted, "dryRun": True})["matched"]

    def steps() -> Iterator[int]:
        where: dict[str, Any] = {"expected": expected}
        left = CHANGED
        while left and where:
            body = {"filter": wanted, "isActive": active, "limit": left, **where}
            answer = client.must("PATCH", TOKENS, body)
            left -= len(answer["updated"])
            where = {"cursor": answer["nextCursor"]} if answer["nextCursor"] else {}
            yield len(answer["updated"])

    return _timed(steps)


def _import(client: Client) -> Iterator[int]:
    """Secrets of another system, as their SHA-256."""
    for start in range(0, IMPORTED, LINES_AT_ONCE):
        lines = [
            {"name": f"import {number}", "duration": "1month", "sha256": hashlib.sha256(b"%d" % number).hexdigest()}
            for number in range(start, start + LINES_AT_ONCE)
        ]
        answer = json.loads(_bytes(client, "POST", f"{TOKENS}/import", "\n".join(map(json.dumps, lines)).encode()))
        if answer["skipped"]:
            raise BenchError(f"an import skipped {answer['skipped'][0]}")
        yield answer["imported"]


def _bytes(client: Client, method: str, path: str, body: bytes) -> bytes:
    headers = {"Authorization": f"Bearer {client.session}", "Content-Type": "application/x-ndjson"}
    with closing(http.client.HTTPConnection("127.0.0.1", client.port, timeout=120)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
    if response.status != http.client.OK:
        raise BenchError(f"{method} {path} answered {response.status}: {content[:200]!r}")
    return content
