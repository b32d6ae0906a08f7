"""The batch before a Redis that is slow, silent, refusing, resetting, or half gone: never a wrong answer."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlsplit

import pytest

from service.embedded import EmbeddedRedis
from service.errors import StoreUnavailable
from service.store.driver.pipeline import Pipeline
from service.store.driver.replies import NotPrimary
from service.store.driver.role_check import RoleCheck
from tests.builders import until
from tests.links import connector
from tests.store.proxy import FaultProxy

Opener = Callable[[float], Awaitable[Pipeline]]


@pytest.fixture
async def proxy(redis_server: EmbeddedRedis) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(redis_server.url.removeprefix("unix://").partition("?")[0]) as made:
        yield made


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
async def pipelines(proxy: FaultProxy) -> AsyncIterator[Opener]:
    """Opens one that looks at the role so many seconds after the last time, and is as patient."""
    async with AsyncExitStack() as stack:

        async def made(seconds: float) -> Pipeline:
            check = partial(RoleCheck, seconds=seconds)
            pipeline = Pipeline(connector(proxy.url, timeout_seconds=10), timeout_seconds=10, check=check)
            stack.push_async_callback(pipeline.aclose)
            assert await pipeline.execute("PING") == b"PONG"
            return pipeline

        yield made


@pytest.fixture
async def pipeline(proxy: FaultProxy, errors: list[str]) -> AsyncIterator[Pipeline]:
    """Patient where a test is about something else than its patience."""
    made = Pipeline(connector(proxy.url, timeout_seconds=10), timeout_seconds=10, on_error=errors.append)
    assert await made.execute("PING") == b"PONG"
    yield made
    await made.aclose()


@pytest.fixture
async def hasty(proxy: FaultProxy, errors: list[str]) -> AsyncIterator[Pipeline]:
    made = Pipeline(connector(proxy.url, timeout_seconds=0.1), timeout_seconds=0.1, on_error=errors.append)
    await until(lambda: answers(made))
    errors.clear()
    yield made
    await made.aclose()


async def answers(pipeline: Pipeline) -> bool:
    try:
        return bool(await pipeline.execute("PING") == b"PONG")
    except StoreUnavailable:
        return False


async def count(pipeline: Pipeline, key: str) -> int:
    return int(await pipeline.execute("GET", key, retry=True) or 0)


async def test_a_slow_redis_is_waited_for(proxy: FaultProxy, pipeline: Pipeline) -> None:
    proxy.delay_seconds = 0.05
    assert await asyncio.gather(*[pipeline.execute("ECHO", f"{number}") for number in range(100)]) == [
        b"%d" % number for number in range(100)
    ]


async def test_a_silent_redis_fails_everyone_at_the_deadline_and_is_found_again(
    proxy: FaultProxy, hasty: Pipeline, errors: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    proxy.silent, place = True, urlsplit(proxy.url).netloc
    asked = [hasty.execute("PING", retry=number % 2 == 0) for number in range(10)]
    replies = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(reply, StoreUnavailable) and reply.was_sent for reply in replies] == [True] * 10
    assert errors[0] == "TimeoutError"
    assert not hasty.up
    # Nothing more is sent to it: whoever asks now is told at once.
    passed = proxy.passed
    with pytest.raises(StoreUnavailable) as refused:
        await hasty.execute("PING")
    assert refused.value.cause == f"Redis cannot be used: it does not answer in time ({place})"
    assert (proxy.passed, refused.value.was_sent) == (passed, False)
    proxy.silent = False
    await until(lambda: answers(hasty))
    await until(lambda: f"Redis answers again ({place})" in caplog.messages)
    assert caplog.messages.count(refused.value.cause) == 1


async def test_a_reply_that_comes_after_the_deadline_meets_nobody(proxy: FaultProxy, hasty: Pipeline) -> None:
    proxy.delay_seconds = 0.3
    with pytest.raises(StoreUnavailable):
        await hasty.execute("ECHO", "late")
    proxy.delay_seconds = 0
    for number in range(200):
        try:
            assert await hasty.execute("ECHO", f"{number}") == b"%d" % number
        except StoreUnavailable:
            await asyncio.sleep(0.005)
    await until(lambda: answers(hasty))


async def test_a_reset_is_healed_for_what_may_be_asked_again_and_told_for_what_may_not(
    proxy: FaultProxy, pipeline: Pipeline, namespace: str, errors: list[str]
) -> None:
    proxy.silent = True
    reading = [asyncio.ensure_future(pipeline.execute("ECHO", f"{number}", retry=True)) for number in range(20)]
    writing = [asyncio.ensure_future(pipeline.execute("INCR", f"{namespace}:n")) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    proxy.silent = False
    proxy.reset()
    assert await asyncio.gather(*reading) == [b"%d" % number for number in range(20)]
    replies = await asyncio.gather(*writing, return_exceptions=True)
    assert [isinstance(reply, StoreUnavailable) and reply.was_sent for reply in replies] == [True] * 20
    assert await count(pipeline, f"{namespace}:n") == 0
    assert errors == ["ConnectionLost"]


async def test_a_swallowed_reply_is_never_asked_for_again_by_itself(
    proxy: FaultProxy, pipeline: Pipeline, namespace: str
) -> None:
    proxy.swallows = is_integer
    for trial in range(1, 21):
        with pytest.raises(StoreUnavailable):
            await pipeline.execute("INCR", f"{namespace}:n")
        assert await count(pipeline, f"{namespace}:n") == trial


async def test_a_question_marked_as_harmless_is_asked_twice_at_most(
    proxy: FaultProxy, pipeline: Pipeline, namespace: str
) -> None:
    proxy.swallows = is_integer
    with pytest.raises(StoreUnavailable):
        await pipeline.execute("INCR", f"{namespace}:n", retry=True)
    assert await count(pipeline, f"{namespace}:n") == 2


async def test_a_swallowed_reply_to_a_harmless_question_is_healed(proxy: FaultProxy, pipeline: Pipeline) -> None:
    lost: list[bytes] = []

    def first_echo(reply: bytes) -> bool:
        if reply.endswith(b"x\r\n") and not lost:
            lost.append(reply)
            return True
        return False

    proxy.swallows = first_echo
    assert await pipeline.execute("ECHO", "x", retry=True) == b"x"
    assert lost


def is_integer(reply: bytes) -> bool:
    """The reply to a command that counts, perhaps behind what the driver asked ahead of it."""
    return reply.removesuffix(b"\r\n").rpartition(b"\r\n")[2].startswith(b":")


@pytest.mark.parametrize("cut", [0, 1, 4, 9])
async def test_half_a_reply_is_no_reply(proxy: FaultProxy, pipeline: Pipeline, cut: int) -> None:
    proxy.cut = cut
    assert await pipeline.execute("ECHO", "a longer reply", retry=True) == b"a longer reply"
    proxy.cut = cut
    with pytest.raises(StoreUnavailable):
        await pipeline.execute("ECHO", "a longer reply")


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x01\x02", b"$-7\r\n", b"*99999999999999\r\n"]
)
async def test_bytes_that_are_no_reply_end_the_connection(
    proxy: FaultProxy, pipeline: Pipeline, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.garbage = garbage
    with pytest.raises(StoreUnavailable):
        await pipeline.execute("ECHO", "x")
    assert "cannot be read" in caplog.text
    assert await pipeline.execute("ECHO", "y") == b"y"


async def test_a_reply_that_nobody_asked_for_ends_the_connection(proxy: FaultProxy, pipelines: Opener) -> None:
    # It would take the reply of a role that is asked for in the same turn.
    pipeline = await pipelines(math.inf)
    proxy.garbage = b"$1\r\na\r\n$1\r\nb\r\n"
    assert await pipeline.execute("ECHO", "a") == b"a"
    await until(lambda: not pipeline.up)
    assert await pipeline.execute("ECHO", "y", retry=True) == b"y"


@pytest.mark.parametrize("role", [b"$1\r\na\r\n", b":1\r\n", b"$-1\r\n", b"*0\r\n", b"*1\r\n:1\r\n"])
async def test_no_reply_counts_behind_what_is_no_role(proxy: FaultProxy, pipelines: Opener, role: bytes) -> None:
    pipeline = await pipelines(0)
    proxy.garbage = role + b":1\r\n$1\r\na\r\n"
    with pytest.raises(NotPrimary, match="does not tell its role"):
        await pipeline.execute("ECHO", "a")
    await until(lambda: answers(pipeline))


async def test_a_server_that_does_not_tell_its_replication_is_of_no_known_data(
    proxy: FaultProxy, pipelines: Opener
) -> None:
    pipeline = await pipelines(0)
    assert pipeline.replication_id
    proxy.garbage = b"*1\r\n$6\r\nmaster\r\n:1\r\n$1\r\na\r\n"
    assert await pipeline.execute("ECHO", "a") == b"a"
    assert pipeline.replication_id == b""


async def test_what_comes_while_nobody_waits_ends_the_connection(proxy: FaultProxy, pipeline: Pipeline) -> None:
    proxy.say(b"+OK\r\n")
    await until(lambda: not pipeline.up)
    assert await pipeline.execute("ECHO", "y", retry=True) == b"y"


async def test_a_refusing_redis_fails_all_at_once_and_is_found_again(
    proxy: FaultProxy, pipeline: Pipeline, errors: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    await proxy.refuse()
    await until(lambda: not pipeline.up)
    for _ in range(3):
        replies = await asyncio.gather(*[pipeline.execute("PING") for _ in range(10)], return_exceptions=True)
        assert all(isinstance(reply, StoreUnavailable) for reply in replies)
    await until(lambda: errors.count("ConnectionError") >= 2)
    place = urlsplit(proxy.url).netloc
    said = [text for text in caplog.messages if text.startswith("Redis cannot be used: nothing listens at its address")]
    assert said == [f"Redis cannot be used: nothing listens at its address ({place})"]
    await proxy.listen()
    await until(lambda: answers(pipeline))
    await until(lambda: caplog.messages.count(f"Redis answers again ({place})") == 1)


async def test_each_outage_is_told_by_its_own_cause(proxy: FaultProxy, hasty: Pipeline) -> None:
    async def cause() -> str:
        with pytest.raises(StoreUnavailable) as refused:
            await hasty.execute("PING")
        return refused.value.cause

    async def is_refused() -> bool:
        return "nothing listens" in await cause()

    await proxy.refuse()
    await until(is_refused)
    await proxy.listen()
    await until(lambda: answers(hasty))
    proxy.silent = True
    assert "it does not answer in time" in await cause()


async def test_a_redis_that_is_away_at_the_start_is_found_when_it_comes(proxy: FaultProxy) -> None:
    await proxy.refuse()
    pipeline = Pipeline(connector(proxy.url))
    assert not await answers(pipeline)
    await proxy.listen()
    await until(lambda: answers(pipeline))
    await pipeline.aclose()


async def test_a_peer_that_greets_with_nonsense_is_no_redis(proxy: FaultProxy) -> None:
    proxy.garbage = b"SSH-2.0-OpenSSH_9.2\r\n"
    pipeline = Pipeline(connector(proxy.url))
    assert not await answers(pipeline)
    await until(lambda: answers(pipeline))
    await pipeline.aclose()


@pytest.mark.slow
async def test_a_peer_that_never_greets_is_given_up(proxy: FaultProxy) -> None:
    proxy.silent = True
    pipeline = Pipeline(connector(proxy.url, timeout_seconds=0.05), timeout_seconds=0.05)
    assert not await answers(pipeline)
    proxy.silent = False
    await until(lambda: answers(pipeline))
    await pipeline.aclose()


async def test_a_storm_of_resets_and_cancellations_mixes_up_no_replies(proxy: FaultProxy, pipeline: Pipeline) -> None:
    """Whoever gets a reply gets their own, whatever happens to the others."""
    proxy.delay_seconds = 0.002
    served = 0
    for turn in range(30):
        asked = [
            asyncio.ensure_future(pipeline.execute("ECHO", f"{turn}-{number}", retry=True)) for number in range(40)
        ]
        await asyncio.sleep(0.001 * (turn % 4))
        for task in asked[turn % 3 :: 3]:
            task.cancel()
        if turn % 5 == 0:
            proxy.reset()
        replies = await asyncio.gather(*asked, return_exceptions=True)
        for number, reply in enumerate(replies):
            if isinstance(reply, bytes):
                served += 1
                assert reply == b"%d-%d" % (turn, number)
    assert served > 300
