"""A whole answer leaves in one write, and none with a field that would end its line."""

import asyncio
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse
from uvicorn.protocols.http.flow_control import FlowControl

from service.api.http.bodies import LongJson
from service.edge.fast_path import Openings
from service.edge.ordinary import _LONG_BYTES, OrdinaryCycle
from service.errors import StoreUnavailable
from tests.edge.asking import PATIENCE_SECONDS


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Answering:
    """An application that answers everything with this."""

    def __init__(self, response: Response) -> None:
        self.response = response

    def call(self, scope: Any, receive: Any) -> SimpleNamespace:
        return SimpleNamespace(template="/x")

    async def respond(self, call: Any) -> Response:
        return self.response

    def account(self, call: Any, status: int) -> None: ...


def cycle_of(response: Response, *, method: str = "GET", keep_alive: bool = True) -> tuple[OrdinaryCycle, Wire]:
    wire, log = Wire(), logging.getLogger("uvicorn.error")
    headers = [(b"date", b"now")]
    completed = lambda: None  # noqa: E731
    scope: Any = {"method": method}
    event, flow = asyncio.Event(), FlowControl(wire)
    cycle = OrdinaryCycle(scope, wire, flow, log, log, False, headers, event, False, keep_alive, completed)
    cycle.application = Answering(response)  # type: ignore[assignment]
    return cycle, wire


@pytest.mark.parametrize(
    ("method", "keep_alive", "end"),
    [
        ("GET", True, b"\r\n\r\nbody"),
        ("HEAD", True, b"\r\n\r\n"),
        ("GET", False, b"\r\nconnection: close\r\n\r\nbody"),
    ],
)
async def test_head_and_body_leave_in_one_write(method: str, keep_alive: bool, end: bytes) -> None:
    cycle, wire = cycle_of(Response(b"body"), method=method, keep_alive=keep_alive)
    await cycle.run_asgi(None)  # type: ignore[arg-type]
    assert wire.written == [b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 4" + end]
    assert (cycle.response_complete, cycle.keep_alive) == (True, keep_alive)


@pytest.mark.parametrize(("status", "line"), [(413, b"413 Content Too Large"), (404, b"404 Not Found")])
async def test_a_status_line_has_the_words_of_rfc_9110(status: int, line: bytes) -> None:
    """Whichever way answers; Python had an earlier one's for 413."""
    cycle, wire = cycle_of(Response(b"body", status))
    await cycle.run_asgi(None)  # type: ignore[arg-type]
    for written in (wire.written[0], Openings([])[status]):
        assert written.startswith(b"HTTP/1.1 " + line + b"\r\n")


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_an_answer_that_closes_the_connection_says_so_once(keep_alive: bool) -> None:
    cycle, wire = cycle_of(Response(b"body", headers={"connection": "close"}), keep_alive=keep_alive)
    await cycle.run_asgi(None)  # type: ignore[arg-type]
    end = b"connection: close\r\ncontent-length: 4\r\n\r\nbody"
    assert (wire.written, cycle.keep_alive) == ([b"HTTP/1.1 200 OK\r\ndate: now\r\n" + end], False)


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
async def test_a_field_that_would_end_its_line_is_never_written(value: bytes) -> None:
    response = Response(b"body")
    response.raw_headers.append((b"x-token-name", value))
    cycle, wire = cycle_of(response)
    await cycle.run_asgi(None)  # type: ignore[arg-type]
    assert wire.written[0].startswith(b"HTTP/1.1 500 ")
    assert b"x-token-name" not in b"".join(wire.written)


async def test_a_stream_that_breaks_off_is_cut_and_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """Its client sees no end, and the log the outcome; a traceback for each would bury what is one."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        raise StoreUnavailable("Redis cannot be reached.")

    cycle, wire = cycle_of(StreamingResponse(pieces()))
    cycle.scope |= {"type": "http", "http_version": "1.1", "asgi": {"spec_version": "2.4"}}
    await cycle.run_asgi(None)  # type: ignore[arg-type]
    assert (b"".join(wire.written)[-12:], wire.closed, caplog.messages) == (b"\r\n5\r\nfirst\r\n", True, [])


async def pieces_of_one() -> AsyncIterator[bytes]:
    yield b"first"


@pytest.mark.parametrize("response", [Response(b"body"), StreamingResponse(pieces_of_one())])
async def test_an_answer_that_nobody_has_read_by_the_end_of_a_stop_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture, response: Response
) -> None:
    cycle, wire = cycle_of(response)
    cycle.scope |= {"type": "http", "http_version": "1.1", "asgi": {"spec_version": "2.4"}}
    cycle.flow.pause_writing()
    answering = asyncio.ensure_future(cycle.run_asgi(None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    answering.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await answering
    assert (wire.written, wire.closed, caplog.messages) == ([], True, [])


async def test_an_answer_waits_until_its_client_reads_and_is_dropped_when_it_leaves() -> None:
    cycle, wire = cycle_of(Response(b"body"))
    cycle.flow.pause_writing()
    answering = asyncio.ensure_future(cycle.run_asgi(None))  # type: ignore[arg-type]
    # Its first step ends where it waits for the client.
    await asyncio.sleep(0)
    assert (answering.done(), wire.written) == (False, [])
    cycle.disconnected = True
    cycle.flow.resume_writing()
    await answering
    assert wire.written == []


@pytest.mark.parametrize("ending", [[], [b"]", b"}"]])
async def test_a_long_body_is_written_as_it_is_and_not_copied_for_each_who_reads_it_slowly(ending: list[bytes]) -> None:
    body = bytes(2 * _LONG_BYTES + 1)
    cycle, wire = cycle_of(LongJson([body, *ending], 200) if ending else Response(body))
    await cycle.run_asgi(None)  # type: ignore[arg-type]
    head, *pieces = wire.written
    assert head.endswith(b"\r\n\r\n")
    # Several, else a transport with TLS would take it all and say that it holds nothing.
    assert [len(piece) for piece in pieces] == [_LONG_BYTES, _LONG_BYTES, 1, *map(len, ending)]
    assert all(memoryview(piece).obj is body for piece in pieces[:3])
    assert cycle.response_complete


async def test_the_pieces_of_a_long_answer_are_written_in_a_turn_each_and_let_go() -> None:
    pieces = [b"[1,", b"2,", b"3]"]
    left = []
    cycle, wire = cycle_of(LongJson(pieces, 200))
    answering = asyncio.ensure_future(cycle.run_asgi(None))  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not answering.done():
            await asyncio.sleep(0)
            left.append((len(wire.written), len(pieces)))
    assert list(dict.fromkeys(left)) == [(1, 2), (2, 1), (3, 0)]
    head, _, first = wire.written[0].partition(b"\r\n\r\n")
    assert b"content-length: 7" in head
    assert (first + b"".join(wire.written[1:]), cycle.response_complete) == (b"[1,2,3]", True)


async def test_nothing_more_of_a_long_answer_is_written_once_its_client_left() -> None:
    cycle, wire = cycle_of(LongJson([b"[1,", b"2,", b"3]"], 200))
    answering = asyncio.ensure_future(cycle.run_asgi(None))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    cycle.disconnected = True
    await answering
    assert (len(wire.written), cycle.response_complete) == (1, False)
