"""A Redis that is loading its data: told as such, asked nothing, and used as soon as it is done."""

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
from service.store.driver.replies import Loading, translate
from service.store.driver.server_clock import ServerClock
from service.store.driver.shards import Shards
from service.store.monitoring.monitor import Monitor
from tests.builders import until
from tests.links import connector
from tests.listening import stop

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


class Server:
    """Answers as a Redis does that may be loading: its role it tells at once."""

    def __init__(self) -> None:
        self.loading = True
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
        if name == b"ROLE":
            return b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
        if name == b"CLIENT":
            return b"+OK\r\n"
        return LOADING if self.loading else b"$1\r\n1\r\n"


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


async def test_it_is_told_as_such_and_used_when_it_is_done(
    server: Server, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = Monitor(Shards("t", [pipeline]), ServerClock(time.time), (b"mark",))
    for _ in range(3):
        assert await monitor.checks() == {"redis": "Redis is loading its data and answers when that is done."}
    server.loading = False
    await until(lambda: answers(pipeline))
    assert caplog.messages == [
        "Redis must not be asked: Redis is loading its data and answers when that is done.",
        "Redis answers again",
    ]


async def test_one_that_loads_anew_under_an_open_connection_is_noticed(server: Server, pipeline: Pipeline) -> None:
    server.loading = False
    assert await answers(pipeline)
    server.loading = True
    for _ in range(2):
        with pytest.raises(Loading):
            await pipeline.execute("GET", "x")
    assert not pipeline.up


def test_the_word_of_redis_is_understood() -> None:
    assert isinstance(translate(hiredis.ReplyError(LOADING[1:-2].decode())), Loading)
