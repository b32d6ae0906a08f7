"""A Redis that is loading its data or busy with a script: told as such, asked nothing, and used as soon as it is done."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest

from service.errors import StoreUnavailable
from service.store.driver.pipeline import Pipeline
from service.store.driver.replies import Loading, Refused, translate
from service.store.driver.server_clock import ServerClock
from service.store.driver.shards import Shards
from service.store.monitoring.monitor import Monitor
from service.store.servers.opening import Opener, open_node
from service.store.servers.url import Address
from tests.builders import until
from tests.links import connector
from tests.listening import stop

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
BUSY = b"-BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
STATES = pytest.mark.parametrize(
    ("says", "told"),
    [
        (LOADING, "Redis is loading its data and answers when that is done."),
        (BUSY, "Redis is busy with somebody's script: it answers when that has ended, or after SCRIPT KILL."),
    ],
    ids=["loading", "busy"],
)


class Server:
    """Answers as a Redis does that may be loading, while it tells its role, or busy, when it tells nothing."""

    def __init__(self) -> None:
        self.says = b""
        self.folder = Path(tempfile.mkdtemp(prefix="tk"))
        self.url = f"unix://{self.folder}/s"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                writer.write(self._answer(command[0]))
        writer.close()

    def _answer(self, name: bytes) -> bytes:
        if name == b"ROLE" and self.says != BUSY:
            return b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
        if name == b"CLIENT":
            return b"+OK\r\n"
        return self.says or b"$1\r\n1\r\n"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_unix_server(made.serve, made.url.removeprefix("unix://"))
    yield made
    await stop(listening)
    shutil.rmtree(made.folder)


@pytest.fixture
async def pipeline(server: Server) -> AsyncIterator[Pipeline]:
    made = Pipeline(connector(server.url, timeout_seconds=10), timeout_seconds=10)
    yield made
    await made.aclose()


async def answers(pipeline: Pipeline) -> bool:
    try:
        return bool(await pipeline.execute("GET", "x") == b"1")
    except StoreUnavailable:
        return False


@STATES
async def test_it_is_told_as_such_and_used_when_it_is_done(
    server: Server,
    pipeline: Pipeline,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    says: bytes,
    told: str,
) -> None:
    monkeypatch.setattr("service.store.driver.causes._WELL_AFTER_SECONDS", 0)
    server.says = says
    monitor = Monitor(Shards("t", [pipeline]), ServerClock(time.time), (b"mark",))
    for _ in range(3):
        assert await monitor.checks() == {"redis": told}
    server.says = b""
    await until(lambda: answers(pipeline))
    await until(lambda: len(caplog.messages) > 1)
    assert caplog.messages == [f"Redis must not be asked: {told}", "Redis answers again"]


async def test_one_that_is_lost_before_it_was_well_does_not_answer_again(
    server: Server, pipeline: Pipeline, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.driver.causes._WELL_AFTER_SECONDS", 60)
    server.says = LOADING
    assert not await answers(pipeline)
    server.says = b""
    await until(lambda: answers(pipeline))
    end = pipeline._outage._end
    assert end is not None
    assert not end.cancelled()
    assert pipeline._replies is not None
    pipeline._replies.transport.abort()
    await until(lambda: not pipeline.up)
    assert end.cancelled()
    assert len(caplog.messages) == 1


@STATES
async def test_one_that_is_so_anew_under_an_open_connection_is_noticed(
    server: Server, pipeline: Pipeline, says: bytes, told: str
) -> None:
    assert await answers(pipeline)
    server.says = says
    for _ in range(2):
        with pytest.raises(Refused, match=told.replace(".", r"\.")):
            await pipeline.execute("GET", "x")
    assert not pipeline.up


@STATES
async def test_no_connection_is_made_to_such_a_node_of_a_cluster(server: Server, says: bytes, told: str) -> None:
    """One that was made and lost with the first command was told of with every request."""
    server.says = says
    opener = Opener({"path": server.url.removeprefix("unix://")}, timeout_seconds=10)
    with pytest.raises(Refused, match=told.replace(".", r"\.")):
        await open_node(opener, Address("unused", 1))


def test_the_word_of_redis_is_understood() -> None:
    assert isinstance(translate(hiredis.ReplyError(LOADING[1:-2].decode())), Loading)
