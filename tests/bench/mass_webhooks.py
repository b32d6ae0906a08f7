"""Rows of `mass`: what a receiver is told of a hundred thousand events, and behind an hour in which it was away."""

import http.client
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from tests.bench import machine, servers
from tests.bench.fill import fill_now
from tests.bench.honest import asking
from tests.bench.place import Place, Row, row
from tests.ports import held_port

PATIENCE_SECONDS = 300.0
OUTAGE_SECONDS = 60.0
TOLD_A_SECOND = 2000


def webhooks(place: Place, count: int) -> Iterator[Row]:
    """So many tokens are created; one receiver that takes everything is told of each."""
    port = webhook(place)
    with _receiver(place, port):
        fill_now(place.env, 0, count, PATIENCE_SECONDS)
        began, first = time.monotonic(), _received(port)
        with asking(place) as waits:
            servers.wait_until(lambda: _received(port) >= count, PATIENCE_SECONDS)
        rate = (_received(port) - first) / (time.monotonic() - began)
        told = _received(port)
    seen = f"{told:,} of {count:,} told, {rate:,.0f}/s once all were created"
    yield row(place, "webhooks", seen, waits, held=told == count and rate >= TOLD_A_SECOND)


def outage(place: Place, count: int) -> Iterator[Row]:
    """So many tokens are created while the receiver is away, half of them more than the stream keeps.

    Once it is back, it is told of what the stream kept; the rest is counted.
    """
    port = webhook(place)
    began = time.monotonic()
    with asking(place) as waits:
        fill_now(place.env | {"TOKENS_AUDIT_MAX_ENTRIES": str(count // 2)}, 0, count, PATIENCE_SECONDS)
        servers.wait_until(lambda: False, OUTAGE_SECONDS - (time.monotonic() - began))
        away = time.monotonic() - began
        with _receiver(place, port):
            began = time.monotonic()
            servers.wait_until(lambda: not any(_standing(place, "unread", "waiting")), PATIENCE_SECONDS)
            back, told = time.monotonic() - began, _received(port)
    (dropped,) = _standing(place, "dropped")
    log = (place.folder / f"service{place.server.port}.log").read_text()
    said = log.count("were trimmed before a webhook took them")
    seen = f"away {away:.0f} s, {told:,} told {back:.0f} s after, {dropped:,} counted as dropped, logged {said} times"
    # The webhook's own entry, and what else the audit log says, is none of those.
    held = count // 2 <= told and count <= told + dropped <= count + 10 and said > 0
    yield row(place, "outage", seen, waits, held=held)


def webhook(place: Place) -> int:
    """A webhook for created tokens, and the port that it is sent to."""
    port = held_port()
    place.client.must("POST", "/api/admin/webhooks", {"url": f"http://127.0.0.1:{port}/", "events": ["token.created"]})
    return port


def _receiver(place: Place, port: int) -> AbstractContextManager[servers.Server]:
    command = [sys.executable, "-m", "tests.bench.receiver", str(port)]
    return servers.running("receiver", command, port=port, cores=machine.LOAD_CORES, log=place.folder / "receiver.log")


def _received(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    told = int(connection.getresponse().read())
    connection.close()
    return told


def _standing(place: Place, *members: str) -> list[int]:
    """How the webhook stands with its events."""
    (shown,) = place.client.must("GET", "/api/admin/webhooks")["webhooks"]
    return [shown[member] for member in members]
