"""One-time tokens: used at most once, whoever asks and however often."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import RateLimited, StoreUnavailable
from service.model import Kind, Outcome
from service.store.one_time import RETRY_MILLISECONDS
from tests.builders import ADDRESS, all_keys
from tests.conftest import SERVER_KEY, Clock, MakeService, TurnTime
from tests.links import AWAY, Interrupted, Wrapped


async def issue(service: Service, **more: Any) -> bytes:
    issued = await service.rules.one_time.issue(**({"address": ADDRESS, "anonymous": False} | more))
    return issued.secret.encode()


async def consume(service: Service, secret: bytes, request: str = "") -> Outcome:
    return (await service.rules.one_time.consume(secret, request=request)).outcome


async def test_consume_admits_exactly_one_of_fifty_callers(service: Service) -> None:
    issued = await service.rules.one_time.issue(address="192.0.2.1", anonymous=True)
    verdicts = await asyncio.gather(*[service.rules.one_time.consume(issued.secret.encode()) for _ in range(50)])
    assert sorted(verdict.outcome for verdict in verdicts) == [Outcome.ACTIVE] + [Outcome.UNKNOWN] * 49


@pytest.mark.parametrize("shards", [1, 16])
async def test_of_racers_in_four_processes_exactly_one_consumes_each_token(
    make_service: MakeService, shards: int
) -> None:
    processes = [await make_service(shards=shards, background=False) for _ in range(4)]
    secrets = [await issue(processes[0]) for _ in range(20)]
    # The racers of one token stand next to each other.
    racing = [consume(process, secret) for secret in secrets for _ in range(5) for process in processes]
    outcomes = await asyncio.gather(*racing)
    assert [outcomes[start : start + 20].count(Outcome.ACTIVE) for start in range(0, 400, 20)] == [1] * 20


async def test_a_retry_gets_its_answer_though_the_index_is_none(service: Service) -> None:
    secret = await issue(service)
    for shard in service.stores.shards:
        await shard.link.execute("SET", shard.keys.one_time_index, "")
    with pytest.raises(StoreUnavailable):
        await consume(service, secret, "attempt-1")
    assert await consume(service, secret, "attempt-2") == Outcome.UNKNOWN
    assert await consume(service, secret, "attempt-1") == Outcome.ACTIVE


async def test_a_retry_of_the_same_request_gets_the_first_answer_and_another_request_none(service: Service) -> None:
    secret = await issue(service, subject="order-7", data='{"a":1}')
    first = await service.rules.one_time.consume(secret, request="attempt-1")
    again = await service.rules.one_time.consume(secret, request="attempt-1")
    other = await service.rules.one_time.consume(secret, request="attempt-2")
    assert first == again
    assert first.credential is not None
    assert (first.credential.subject, first.credential.data) == ("order-7", '{"a":1}')
    assert other.outcome is Outcome.UNKNOWN


async def test_a_retry_gets_the_first_answer_when_the_token_has_ended_meanwhile(still: Service, clock: Clock) -> None:
    secret = await issue(still, ttl_seconds=5)
    assert await consume(still, secret, "attempt-1") is Outcome.ACTIVE
    clock.forward(6)
    assert await consume(still, secret, "attempt-1") is Outcome.ACTIVE
    assert await consume(still, secret, "attempt-2") is Outcome.UNKNOWN
    clock.forward(RETRY_MILLISECONDS / 1000)
    assert await consume(still, secret, "attempt-1") is Outcome.EXPIRED


async def test_to_revoke_what_was_spent_takes_its_answer_away_and_counts_as_no_end(still: Service) -> None:
    spent, unspent = await issue(still), await issue(still)
    assert await consume(still, spent, "attempt-1") is Outcome.ACTIVE
    assert [await still.rules.one_time.revoke(secret) for secret in (spent, unspent)] == [False, True]
    assert [await consume(still, secret, "attempt-1") for secret in (spent, unspent)] == [Outcome.UNKNOWN] * 2
    assert 'tokens_revoked_total{kind="one_time"} 1.0' in (await still.metrics.render(""))[0].decode()


async def test_a_request_key_serves_each_token_apart(still: Service) -> None:
    one, two = await issue(still), await issue(still)
    assert [await consume(still, secret, "key") for secret in (one, two, one, two)] == [Outcome.ACTIVE] * 4
    assert await consume(still, one, "Key") is Outcome.UNKNOWN


async def test_while_the_server_key_changes_a_retry_elsewhere_gets_the_first_answer(
    make_service: MakeService,
) -> None:
    new_key = "the next server key, long enough too"
    one = await make_service(background=False, secret_key_previous=new_key)
    other = await make_service(background=False, secret_key=new_key, secret_key_previous=SERVER_KEY)
    for here, there in ((one, other), (other, one)):
        secret = await issue(here)
        assert [await consume(each, secret, "attempt-1") for each in (here, there, here)] == [Outcome.ACTIVE] * 3
        assert await consume(there, secret, "attempt-2") is Outcome.UNKNOWN
        secret = await issue(here)
        assert [await consume(each, secret, "attempt-1") for each in (there, here)] == [Outcome.ACTIVE] * 2


async def test_a_token_of_the_previous_server_key_is_ended(make_service: MakeService) -> None:
    secret = await issue(await make_service(background=False))
    new_key = "the next server key, long enough too"
    later = await make_service(background=False, secret_key=new_key, secret_key_previous=SERVER_KEY)
    assert [await later.rules.one_time.revoke(secret) for _ in range(2)] == [True, False]
    assert await consume(later, secret) is Outcome.UNKNOWN


async def test_a_lost_reply_with_a_request_key_burns_no_token(make_service: MakeService) -> None:
    """Executed, and the reply swallowed: the same request asked again gets its answer, once."""
    service = await make_service(background=False, wrap=Interrupted)
    link, secret = service.stores.shards[0].link, await issue(service)
    link.after["consume_token"] = [AWAY]
    with pytest.raises(StoreUnavailable):
        await consume(service, secret, "key")
    assert [await consume(service, secret, request) for request in ("other", "", "key")] == [
        Outcome.UNKNOWN,
        Outcome.UNKNOWN,
        Outcome.ACTIVE,
    ]


async def test_a_token_lives_five_minutes_or_as_long_as_was_asked(faked: Service, turn_time: TurnTime) -> None:
    usual, short, long = (
        await issue(faked),
        await issue(faked, ttl_seconds=10),
        await issue(faked, ttl_seconds=3600),
    )
    turn_time(11)
    assert await consume(faked, short) is Outcome.UNKNOWN
    turn_time(287)
    assert (await faked.rules.authority.peek(usual, (Kind.ONE_TIME,))).active
    turn_time(3)
    assert await consume(faked, usual) is Outcome.UNKNOWN
    assert await consume(faked, long) is Outcome.ACTIVE


async def test_an_anonymous_issuer_is_limited_by_address_and_a_known_one_is_not(
    make_service: MakeService,
) -> None:
    service = await make_service(shards=16, background=False, one_time_issue_per_minute=5)
    for _ in range(5):
        await issue(service, anonymous=True)
    with pytest.raises(RateLimited) as refused:
        await issue(service, anonymous=True)
    assert 11 <= refused.value.retry_after <= 12
    await issue(service, anonymous=True, address="192.0.2.200")
    for _ in range(10):
        await issue(service, anonymous=False)


@pytest.mark.parametrize(
    ("addresses", "most"),
    [
        ("2001:db8:1:2:{:x}::1", 2),
        ("::ffff:192.0.2.1", 2),
        ("192.0.2.{}", 4),
        ("2001:db8:1:{:x}::1", 4),
        ("198.{}.2.1", 6),
        ("2001:db8:{:x}::1", 6),
    ],
)
async def test_anonymous_issuers_are_limited_by_network_and_in_all(
    still: Service, monkeypatch: pytest.MonkeyPatch, addresses: str, most: int
) -> None:
    still.rules.one_time.policy = msgspec.structs.replace(still.rules.one_time.policy, per_minute=2)
    monkeypatch.setattr("service.tokens.one_time.NETWORK_SHARE", 2)
    monkeypatch.setattr("service.tokens.one_time.GLOBAL_LIMIT", 3)
    if len(still.stores.shards) > 1 and most == 6:
        pytest.skip("each shard bears its part of the global limit, and addresses spread over the shards")
    issued = 0
    for number in range(10):
        try:
            await issue(still, anonymous=True, address=addresses.format(number))
        except RateLimited:
            continue
        issued += 1
    assert issued == most


async def test_each_shard_bears_its_part_of_the_global_limit(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await make_service(shards=16, background=False, one_time_issue_per_minute=1)
    monkeypatch.setattr("service.tokens.one_time.NETWORK_SHARE", 1)
    monkeypatch.setattr("service.tokens.one_time.GLOBAL_LIMIT", 32)
    issued = 0
    for number in range(100):
        with suppress(RateLimited):
            await issue(service, anonymous=True, address=f"198.51.{number}.1")
            issued += 1
    assert 0 < issued <= 32


async def begin_issues(service: Service, *addresses: str) -> list[bytes | None]:
    """As the fast path asks for tokens in one turn of its loop: their secrets, None for what is to be asked again."""
    loop = asyncio.get_running_loop()
    answers = [loop.create_future() for _ in addresses]
    for address, answer in zip(addresses, answers, strict=True):
        service.rules.one_time.begin_issue(address, answer.set_result)
    return [issued.secret.encode() if issued else None for issued in await asyncio.gather(*answers)]


@pytest.mark.parametrize("shards", [1, 16])
async def test_what_an_address_asks_for_in_one_turn_is_recorded_by_one_script(
    make_service: MakeService, shards: int
) -> None:
    class Counting(Wrapped):
        submitted = 0

        def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
            self.submitted += command.startswith(b"*") and b"EVALSHA" in command
            super().submit(command, answer, retry=retry)

    service = await make_service(shards=shards, one_time_issue_per_minute=200, wrap=Counting)
    # A server learns the script when it is first asked for.
    await issue(service, anonymous=True)
    secrets = await begin_issues(service, *["192.0.2.1"] * 100, *["198.51.100.1"] * 150)
    assert None not in secrets
    assert len(set(secrets)) == 250
    # No script records more than 128.
    assert service.stores.shards[0].link.submitted == 3
    assert [await consume(service, secret) for secret in secrets if secret] == [Outcome.ACTIVE] * 250


@pytest.mark.parametrize("shards", [1, 16])
async def test_of_what_an_address_asks_for_in_one_turn_it_gets_what_one_after_the_other_would_leave_it(
    make_service: MakeService, shards: int
) -> None:
    service = await make_service(shards=shards, one_time_issue_per_minute=5)
    await issue(service, anonymous=True, address="192.0.2.1")
    secrets = await begin_issues(service, *["192.0.2.1"] * 7, *["192.0.2.2"] * 5)
    assert [secret is not None for secret in secrets] == [True] * 4 + [False] * 3 + [True] * 5
    assert await begin_issues(service, "192.0.2.1", "192.0.2.2") == [None, None]
    for address in ("192.0.2.1", "192.0.2.2"):
        with pytest.raises(RateLimited) as refused:
            await issue(service, anonymous=True, address=address)
        assert 11 <= refused.value.retry_after <= 12
    assert (await service.rules.managed.queries.statistics()).one_time_outstanding == 10
    assert [await consume(service, secret) for secret in secrets if secret] == [Outcome.ACTIVE] * 9


async def test_after_its_use_nothing_of_a_token_is_left(still: Service) -> None:
    secret = await issue(still)
    assert await consume(still, secret) is Outcome.ACTIVE
    assert await all_keys(still) == set()
    assert (await still.rules.managed.queries.statistics()).one_time_outstanding == 0


async def test_no_other_kind_is_consumed(still: Service) -> None:
    for secret in (b"", b"x" * 64, b"rtk_" + b"0" * 64, b"G" * 32):
        assert await consume(still, secret) is Outcome.MALFORMED
    assert await consume(still, b"0" * 32) is Outcome.UNKNOWN


async def test_where_a_scope_is_required_a_token_is_refused_and_stays_unspent(still: Service) -> None:
    secret = await issue(still)
    assert (await still.rules.one_time.consume(secret, required=("a",))).outcome is Outcome.INSUFFICIENT_SCOPE
    assert await consume(still, secret) is Outcome.ACTIVE
    assert (await still.rules.one_time.consume(secret, required=("a",))).outcome is Outcome.UNKNOWN
