"""Head and body of an answer leave in one write."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from service.edge.writer import CoalescingWriter


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def coalesced(*, started: bool) -> tuple[CoalescingWriter, Wire, SimpleNamespace]:
    cycle, wire = SimpleNamespace(response_started=started), Wire()
    return CoalescingWriter(cycle, wire), wire, cycle  # type: ignore[arg-type]


def test_the_head_waits_for_the_first_of_the_body_and_the_rest_for_nothing() -> None:
    transport, wire, _ = coalesced(started=True)
    transport.write(b"head ")
    assert wire.written == []
    transport.write(b"body")
    transport.write(b" and more")
    assert wire.written == [b"head body", b" and more"]


def test_an_empty_body_lets_the_head_go() -> None:
    transport, wire, _ = coalesced(started=True)
    transport.write(b"head")
    transport.write(b"")
    transport.write(b"")
    assert b"".join(wire.written) == b"head"


def test_a_100_continue_does_not_wait() -> None:
    transport, wire, cycle = coalesced(started=False)
    transport.write(b"100")
    assert wire.written == [b"100"]
    cycle.response_started = True
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.written == [b"100", b"head body"]


def test_a_head_without_a_body_leaves_before_the_connection_closes() -> None:
    transport, wire, _ = coalesced(started=True)
    transport.write(b"head")
    assert not transport.is_closing()
    transport.close()
    assert wire.written == [b"head"]
    assert transport.is_closing()
