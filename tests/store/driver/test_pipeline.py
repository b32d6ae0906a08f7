"""The batch: one connection for all, each reply to the one who asked, and one failure never another's."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from redis.exceptions import AuthenticationError, NoScriptError, ResponseError

from service.embedded import EmbeddedRedis
from service.errors import StoreFull, StoreUnavailable
from service.store.driver.connection import ask
from service.store.driver.pipeline import Pipeline
from service.store.driver.replies import NotPrimary, translate
from service.store.driver.role_check import RoleCheck
from service.store.driver.scripts import Script
from tests.builders import until
from tests.links import connector


@pytest.fixture
async def pipeline(redis_server: EmbeddedRedis) -> AsyncIterator[Pipeline]:
    made = Pipeline(connector(redis_server.url), timeout_seconds=10)
    yield made
    await made.aclose()


async def test_a_thousand_at_once_each_get_their_own_reply(pipeline: Pipeline) -> None:
    replies = await asyncio.gather(*[pipeline.execute("ECHO", f"{number}") for number in range(1000)])
    assert replies == [b"%d" % number for number in range(1000)]


async def test_what_is_asked_in_one_turn_travels_together(redis_server: EmbeddedRedis) -> None:
    written: list[bytes] = []

    async def connect() -> Any:
        connection = await connector(redis_server.url)()
        transport = connection._writer.transport  # type: ignore[attr-defined]
        write = transport.write
        transport.write = lambda data: (written.append(data), write(data))
        return connection

    pipeline = Pipeline(connect, timeout_seconds=10, check=partial(RoleCheck, seconds=math.inf))
    await pipeline.execute("PING")
    written.clear()
    await asyncio.gather(*[pipeline.execute("PING") for _ in range(50)])
    ping = b"*1\r\n$4\r\nPING\r\n"
    # Enough of them leave before the turn ends, that Redis may begin.
    assert written == [ping * 16] * 3 + [ping * 2]
    written.clear()
    answered: list[Any] = []
    for _ in range(50):
        pipeline.submit(ping, answered.append)
    await until(lambda: len(answered) == 50)
    await pipeline.aclose()
    assert written == [ping * 50]


async def test_what_is_asked_behind_a_script_leaves_with_it(pipeline: Pipeline) -> None:
    await pipeline.execute("PING")
    asked = Script("count_between", retry=True).run(pipeline, (b"t-batch:absent",), 0, 1)
    behind = pipeline.execute("EXISTS", "t-batch:absent", retry=True)
    assert [command.split(b"\r\n")[2] for command, *_ in pipeline.turn] == [b"EVALSHA", b"EXISTS"]
    assert (await asked, await behind) == ([0], 0)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (("PING",), b"PONG"),
        (("GET", "t-batch:absent"), None),
        (("EVAL", "return {1, 'a', false, {2}}", 0), [1, b"a", None, [2]]),
        (("EVAL", "return ARGV[1] .. ARGV[2]", 0, b"\x00\xff\r\n", 7), b"\x00\xff\r\n7"),
    ],
)
async def test_replies_are_those_of_resp2(pipeline: Pipeline, command: tuple[Any, ...], reply: Any) -> None:
    assert await pipeline.execute(*command) == reply


async def test_text_travels_as_utf_8(pipeline: Pipeline) -> None:
    assert await pipeline.execute("SET", "t-batch:ü", "é") == b"OK"
    assert await pipeline.execute("GET", "t-batch:ü") == "é".encode()
    assert await pipeline.execute("DEL", "t-batch:ü") == 1


async def test_an_error_is_the_affair_of_the_command_that_caused_it(pipeline: Pipeline) -> None:
    asked = [
        pipeline.execute("PING"),
        pipeline.execute("NO SUCH COMMAND"),
        pipeline.execute("PING"),
        pipeline.execute("EVALSHA", "0" * 40, 0),
    ]
    replies = await asyncio.gather(*asked, return_exceptions=True)
    assert [reply if isinstance(reply, bytes) else type(reply) for reply in replies] == [
        b"PONG",
        StoreUnavailable,
        b"PONG",
        NoScriptError,
    ]


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ResponseError("OOM command not allowed when used memory > 'maxmemory'."), StoreFull),
        (ResponseError("Error running script: @user_script:1: OOM command not allowed"), StoreFull),
        (ResponseError("NOSCRIPT No matching script."), NoScriptError),
        (NoScriptError("No matching script."), NoScriptError),
        (ResponseError("READONLY You can't write against a read only replica."), NotPrimary),
        (ResponseError("NOPERM no permissions"), StoreUnavailable),
        (ResponseError("MISCONF disk"), StoreUnavailable),
        (AuthenticationError("WRONGPASS"), StoreUnavailable),
        (OSError(), StoreUnavailable),
        (StoreFull("full"), StoreFull),
    ],
)
def test_an_error_means_full_or_unavailable_and_never_no(error: Exception, meaning: type[Exception]) -> None:
    assert type(translate(error)) is meaning


async def test_what_a_handler_raises_harms_its_own_request_alone(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(reply: Any) -> None:
        raise ValueError("a handler's own mistake")

    before = asyncio.ensure_future(pipeline.execute("ECHO", "before"))
    await asyncio.sleep(0)
    pipeline.submit(b"*1\r\n$4\r\nPING\r\n", answer)
    assert await pipeline.execute("ECHO", "after") == b"after"
    assert await before == b"before"
    assert pipeline.up
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "a reply handler failed"
    ]


async def test_one_who_no_longer_waits_takes_no_reply_from_others(pipeline: Pipeline) -> None:
    for _ in range(20):
        asked = [asyncio.ensure_future(pipeline.execute("ECHO", f"{number}")) for number in range(10)]
        await asyncio.sleep(0)
        for task in asked[::2]:
            task.cancel()
        replies = await asyncio.gather(*asked, return_exceptions=True)
        assert replies[1::2] == [b"%d" % number for number in range(1, 10, 2)]
        assert all(isinstance(reply, asyncio.CancelledError) for reply in replies[::2])


async def test_what_exceeds_the_bound_is_refused_at_once_and_the_rest_is_served(redis_server: EmbeddedRedis) -> None:
    pipeline = Pipeline(connector(redis_server.url), timeout_seconds=10, limit=10)
    for warm in (False, True):
        replies = await asyncio.gather(*[pipeline.execute("PING") for _ in range(13)], return_exceptions=True)
        assert replies[:10] == [b"PONG"] * 10, warm
        assert all(isinstance(reply, StoreUnavailable) for reply in replies[10:])
    await pipeline.aclose()


async def test_a_closed_batch_refuses_and_fails_what_waits(redis_server: EmbeddedRedis) -> None:
    pipeline = Pipeline(connector(redis_server.url), timeout_seconds=10)
    await pipeline.execute("PING")
    # A key that nobody pushes to: the reply is outstanding when the batch closes.
    waiting = asyncio.ensure_future(pipeline.execute("BLPOP", "t-batch:never", 30))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    queued = asyncio.ensure_future(pipeline.execute("PING"))
    await asyncio.sleep(0)
    await pipeline.aclose()
    for refused in (waiting, queued, pipeline.execute("PING")):
        with pytest.raises(StoreUnavailable):
            await refused
    assert not pipeline.up


async def test_a_batch_that_was_never_used_closes(redis_server: EmbeddedRedis) -> None:
    await Pipeline(connector(redis_server.url)).aclose()


async def test_a_batch_closed_while_it_connects_fails_what_waits() -> None:
    started = asyncio.Event()

    async def connect() -> Any:
        started.set()
        await asyncio.Event().wait()

    pipeline = Pipeline(connect, timeout_seconds=10)
    waiting = asyncio.ensure_future(pipeline.execute("PING"))
    await started.wait()
    await pipeline.aclose()
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_one_that_is_closed_in_any_turn_of_its_connecting_opens_nothing(redis_server: EmbeddedRedis) -> None:
    for turns in range(60):
        pipeline = Pipeline(connector(redis_server.url), timeout_seconds=10)
        waiting = asyncio.ensure_future(pipeline.execute("PING"))
        before = asyncio.all_tasks()
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting = asyncio.all_tasks() - before
        await pipeline.aclose()
        await asyncio.wait([waiting, *connecting])
        assert not pipeline.up
        assert isinstance(waiting.exception() or StoreUnavailable(""), StoreUnavailable)


async def test_whoever_is_told_to_end_while_a_command_is_sent_ends() -> None:
    class Sent:
        async def send_command(self, *_: object) -> None:
            # As `wait_for` of Python 3.11, where all is sent in the turn in which it is cancelled.
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    asking = asyncio.ensure_future(ask(Sent(), "PING"))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_connection_that_closed_while_it_was_made_is_tried_again(redis_server: EmbeddedRedis) -> None:
    connect, opened = connector(redis_server.url), []

    async def connect_at_the_second_try() -> Any:
        connection = await connect()
        opened.append(connection)
        if len(opened) == 1:
            await connection.disconnect()
        return connection

    pipeline = Pipeline(connect_at_the_second_try, timeout_seconds=10)
    with pytest.raises(StoreUnavailable):
        await pipeline.execute("PING")
    await until(lambda: pipeline.up)
    assert await pipeline.execute("PING") == b"PONG"
    await pipeline.aclose()


async def test_whatever_a_try_to_connect_ends_by_another_follows(
    redis_server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    ours, another = ValueError("a fault of ours"), KeyError("another one")
    faults: list[Exception] = [ConnectionRefusedError(), ResponseError("ERR AUTH, 'hunter2'"), ours, another, ours]

    async def connect() -> Any:
        if faults:
            raise faults.pop(0)
        return await connector(redis_server.url, timeout_seconds=10)()

    pipeline = Pipeline(connect, timeout_seconds=10)
    with pytest.raises(StoreUnavailable):
        await pipeline.execute("PING")
    await until(lambda: pipeline.up)
    assert await pipeline.execute("PING") == b"PONG"
    # By its class alone nobody could report a fault of ours; what a server says may repeat the password.
    told = [record for record in caplog.records if record.getMessage().startswith("Redis cannot be used: ")]
    assert [record.exc_info and record.exc_info[1] for record in told] == [None, None, ours, another]
    await pipeline.aclose()


async def test_what_was_asked_before_a_stall_of_our_own_is_sent_behind_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """uvloop looks at its timers before what was left for its next turn, and what is asked is sent there."""
    await pipeline.execute("PING")
    asked, loop = pipeline.execute("PING"), asyncio.get_running_loop()
    behind = loop.time() + 3600
    with monkeypatch.context() as stalled:
        stalled.setattr(loop, "time", lambda: behind)
        pipeline._check_deadlines()
    assert await asked == b"PONG"
    assert caplog.messages == []


async def test_who_waits_for_a_connection_waits_no_longer_than_for_a_reply() -> None:
    async def connect() -> Any:
        await asyncio.Event().wait()

    pipeline = Pipeline(connect, timeout_seconds=0.05)
    asked = [asyncio.ensure_future(pipeline.execute("PING"))]
    await asyncio.sleep(0)
    asked.append(asyncio.ensure_future(pipeline.execute("PING")))
    for waiting in asked:
        with pytest.raises(StoreUnavailable):
            await waiting
    await pipeline.aclose()
