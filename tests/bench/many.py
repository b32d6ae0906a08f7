"""Work on many tokens at once, as a client asks for it request by request: changed by filter, exported, imported."""

import hashlib
import http.client
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
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


def rows(client: Client, count: int) -> dict[str, Done]:
    """All that is measured, by name, the import of so many; what was imported stays, what was deactivated is activated again."""
    return {
        "deactivated by filter": changed(client, "active", {"isActive": False}, {"q": "scale 1"}),
        "activated by filter": changed(client, "inactive", {"isActive": True}, {"q": "scale 1"}),
        "exported": exported(client),
        "imported": imported(client, count),
    }


def changed(
    client: Client, status: str, change: dict[str, Any], wanted: dict[str, str], *, most: int = CHANGED
) -> Done:
    """Change tokens of this status that a filter finds, until so many are changed or none is left."""
    wanted = {**wanted, "status": status}
    expected = client.must("POST", f"{TOKENS}/revoke", {"filter": wanted, "dryRun": True})["matched"]
    method, path = ("PATCH", TOKENS) if change else ("POST", f"{TOKENS}/revoke")

    def steps() -> Iterator[int]:
        where: dict[str, Any] = {"expected": expected}
        left = most
        while left and where:
            answer = client.must(method, path, {"filter": wanted, "limit": left, **change, **where})
            left -= len(answer["updated"])
            where = {"cursor": answer["nextCursor"]} if answer["nextCursor"] else {}
            yield len(answer["updated"])

    return _timed(steps)


def exported(client: Client) -> Done:
    """Take all tokens out."""
    return _timed(lambda: iter([taken_out(client, f"{TOKENS}/export").count(b"\n")]))


def imported(client: Client, count: int) -> Done:
    """Take so many tokens in, whose lines are there before the time begins."""
    starts = range(0, count, LINES_AT_ONCE)
    bodies = [b"\n".join(lines(range(start, min(count, start + LINES_AT_ONCE)))) for start in starts]
    return _timed(lambda: map(partial(take_in, client), bodies))


def _timed(steps: Callable[[], Iterator[int]]) -> Done:
    """Each step is a request, and yields how many tokens it was about."""
    counts, taken, began = [0], [0.0], time.monotonic()
    try:
        for count in steps():
            taken.append(time.monotonic() - began - sum(taken))
            counts.append(count)
    except (OSError, http.client.HTTPException, BenchError) as error:
        return Done(sum(counts), math.inf, math.inf, len(counts), f"{str(error)[:60]!r} after {sum(counts):,}")
    return Done(sum(counts), sum(taken), max(taken), len(taken) - 1)


def lines(numbers: range, **terms: Any) -> list[bytes]:
    """Secrets of another system, as their SHA-256."""
    named = [(f"import {number}", hashlib.sha256(b"%d" % number).hexdigest()) for number in numbers]
    rows = [{"name": name, "duration": "1month", "sha256": sha256, **terms} for name, sha256 in named]
    return [json.dumps(row, ensure_ascii=False).encode() for row in rows]


def take_in(client: Client, body: bytes) -> int:
    """Import lines; how many."""
    answer = json.loads(_bytes(client, "POST", f"{TOKENS}/import", body))
    if answer["skipped"]:
        raise BenchError(f"an import skipped {answer['skipped'][0]}")
    return int(answer["imported"])


def taken_out(client: Client, path: str) -> bytes:
    """What is answered, of any length and kind."""
    return _bytes(client, "GET", path, b"")


def _bytes(client: Client, method: str, path: str, body: bytes) -> bytes:
    headers = {"Authorization": f"Bearer {client.session}", "Content-Type": "application/x-ndjson"}
    with closing(http.client.HTTPConnection("127.0.0.1", client.port, timeout=120)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
    if response.status != http.client.OK:
        raise BenchError(f"{method} {path} answered {response.status}: {content[:200]!r}")
    return content
