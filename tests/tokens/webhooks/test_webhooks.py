"""Webhooks: every event to every receiver that wants it, at least once, by one process at a time, for a day."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook

from service.app import Service
from service.errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from service.model import Kind, Outcome, RateLimit
from service.store.managed.tokens import ManagedStore
from service.store.outbox import Outbox
from service.tokens.audit.reader import AuditFilter
from service.tokens.managed.tokens import NewToken
from service.tokens.webhooks import deliveries as deliveries_module
from service.tokens.webhooks import notices as notices_module
from service.tokens.webhooks import receiver as receiver_module
from service.tokens.webhooks.delivery import GIVE_UP_SECONDS, Delivery, Dispatcher, pause
from service.tokens.webhooks.events import EventType
from tests.builders import ADMIN, DAY, all_keys, create, until
from tests.conftest import SHARDS, Clock, MakeService
from tests.links import AWAY, Interrupted
from tests.receiver import TAKEN, Receiver, deliver, receiving, resolving
from tests.store.scenario import list_as_due

ALL = tuple(EventType)


@pytest.fixture(params=SHARDS)
async def teller(request: pytest.FixtureRequest, make_service: MakeService) -> Service:
    """A service whose webhooks may go to this machine; it does nothing by itself."""
    return await make_service(shards=request.param, background=False, webhook_allow_private=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def listen(service: Service, receiver: Receiver, *events: EventType) -> str:
    """Add the receiver; the id."""
    url = f"http://127.0.0.1:{receiver.port}/hook"
    known = await service.rules.webhooks.registry.create(url, events or ALL, ADMIN)
    return known.webhook.webhook_id


def told(receiver: Receiver) -> list[tuple[str, str]]:
    """Type and token of each message, in the order of the messages' ids."""
    messages = [json.loads(received.body) for received in receiver.received]
    return sorted((message["type"], message["data"]["tokenId"]) for message in messages)


async def make(service: Service, name: str, *, days: float = 30, **terms: Any) -> tuple[str, bytes]:
    created = await create(service, name, days=days, **terms)
    return created.token.token_id, created.secret.encode()


async def test_a_receiver_whose_record_others_changed_keeps_its_place(teller: Service, receiver: Receiver) -> None:
    webhook_id = await listen(teller, receiver)
    await make(teller, "before")
    await deliver(teller)
    shard = teller.stores.shards[0]
    record = await shard.link.execute("HGET", shard.keys.webhooks, webhook_id)
    await shard.link.execute("HSET", shard.keys.webhooks, webhook_id, record[::-1])
    await deliver(teller)
    await make(teller, "meanwhile")
    await shard.link.execute("HSET", shard.keys.webhooks, webhook_id, record)
    await deliver(teller)
    assert [json.loads(one.body)["data"]["name"] for one in receiver.received] == ["before", "meanwhile"]


async def test_a_delivery_sent_again_to_a_receiver_that_is_deleted_meanwhile_leaves_nothing(
    teller: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_id = await listen(teller, receiver)
    await make(teller, "t")
    await deliver(teller)
    rules = teller.rules.webhooks
    ((delivery, *_),) = await rules.log.read(webhook_id, None, 1)
    attempt = rules.log._dispatcher.attempt

    async def delete_behind(*given: Any) -> Any:
        tried = await attempt(*given)
        await rules.registry.delete(webhook_id, ADMIN)
        return tried

    monkeypatch.setattr(rules.log._dispatcher, "attempt", delete_behind)
    assert (await rules.log.send_again(webhook_id, delivery.event_id)).taken
    assert await rules.log.read(webhook_id, None, 10) == []


async def test_a_deletion_that_was_cut_off_leaves_nothing_when_it_comes_again(make_service: MakeService) -> None:
    teller = await make_service(background=False, webhook_allow_private=True, wrap=Interrupted)
    registry, link = teller.rules.webhooks.registry, teller.stores.shards[0].link
    webhook_id = (await registry.create("http://127.0.0.1:1/hook", ALL, ADMIN)).webhook.webhook_id
    assert isinstance(link, Interrupted)
    link.before["UNLINK"] = [AWAY]
    for refusal in (StoreUnavailable, NotFound):
        with pytest.raises(refusal):
            await registry.delete(webhook_id, ADMIN)
    assert not [key for key in await all_keys(teller) if key.endswith(webhook_id.encode()) and b":we:" not in key]


async def test_every_change_of_a_token_is_told(teller: Service, receiver: Receiver) -> None:
    await make(teller, "before")
    await listen(teller, receiver)
    token_id, _ = await make(teller, "gate", days=10)
    await teller.rules.managed.tokens.update(token_id, {"description": "new"}, ADMIN)
    await teller.rules.managed.tokens.update(token_id, {"active": False}, ADMIN)
    await teller.rules.managed.tokens.update(token_id, {"active": True}, ADMIN)
    await teller.rules.managed.rotation.rotate(token_id, ADMIN)
    other, _ = await make(teller, "door")
    await teller.rules.managed.tokens.revoke(other, ADMIN)
    await list_as_due(teller, token_id)
    await teller.rules.managed.sweeper.sweep()
    await deliver(teller)
    changes = ("activated", "created", "deactivated", "expired", "rotated", "updated")
    assert told(receiver) == sorted(
        [(f"token.{change}", token_id) for change in changes] + [("token.created", other), ("token.revoked", other)]
    )
    await deliver(teller)
    assert len(receiver.received) == 8


async def test_others_have_a_turn_between_the_events_of_long_tokens(
    make_service: MakeService, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which are read few at a time, too."""
    given: list[str] = []
    asked: list[int] = []
    read = Outbox.read

    async def give_way() -> None:
        given.append("")
        await asyncio.sleep(0)

    async def read_so_many(outbox: Outbox, stream: str, place: Any, count: int) -> Any:
        asked.append(count)
        return await read(outbox, stream, place, count)

    teller = await make_service(background=False, webhook_allow_private=True)
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    for number in range(40):
        await make(teller, f"gate {number}", metadata={str(key): 100 * "x" for key in range(20)})
    monkeypatch.setattr("service.store.batch_size._BATCH_BYTES", 10_000)
    monkeypatch.setattr("service.store.pacing._FELT_SECONDS", -1.0)
    monkeypatch.setattr("service.store.pacing.give_way", give_way)
    monkeypatch.setattr(Outbox, "read", read_so_many)
    await deliver(teller)
    # Each event is opened and written as a message, and its delivery sealed.
    assert (len(receiver.received), len(given) >= 3 * 40) == (40, True)
    assert max(asked) == 32
    assert min(asked) < 5
    given.clear()
    assert len(await teller.rules.webhooks.log.read(webhook_id, "delivered", 40)) == 40
    assert len(given) == 40


async def test_others_have_a_turn_before_many_records_are_asked_for_and_before_many_attempts_begin(
    make_service: MakeService, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def give_way() -> None:
        done.append("others")

    def noting(kind: type, name: str) -> None:
        act = getattr(kind, name)

        async def noted(*args: Any) -> Any:
            done.append(name)
            return await act(*args)

        monkeypatch.setattr(kind, name, noted)

    teller = await make_service(background=False, webhook_allow_private=True)
    await listen(teller, receiver, EventType.CREATED)
    for number in range(2):
        await make(teller, f"gate {number}")
    noting(ManagedStore, "get_many")
    noting(Dispatcher, "attempt")
    for module in ("delivery", "receiver"):
        monkeypatch.setattr(f"service.tokens.webhooks.{module}.give_way", give_way)
    await deliver(teller)
    asking = done.index("get_many")
    assert done[asking - 1 :][:2] == ["others", "get_many"]
    assert done[asking + 1 :][:3] == ["others", "attempt", "attempt"]


async def test_a_message_says_what_happened_and_is_signed(teller: Service, receiver: Receiver) -> None:
    known = await teller.rules.webhooks.registry.create(
        f"http://127.0.0.1:{receiver.port}/", (EventType.UPDATED,), ADMIN
    )
    token_id, secret = await make(teller, "Grüße")
    await teller.rules.managed.tokens.update(token_id, {"scopes": ("a:b",), "rate_limits": (RateLimit(5, 60),)}, ADMIN)
    await deliver(teller)
    (received,) = receiver.received
    message = Webhook(known.secret).verify(received.body, received.headers)
    event = (await teller.rules.audit.reader.page(AuditFilter(action="token.updated"), 1, None))[0][0]
    assert message.pop("timestamp").endswith("Z")
    assert message == {
        "type": "token.updated",
        "id": str(event.position),
        "data": {
            "tokenId": token_id,
            "name": "Grüße",
            "actor": "admin",
            "address": "192.0.2.1",
            "channel": "api",
            "requestId": "r1",
            "before": {"scopes": [], "limits": []},
            "after": {
                "scopes": ["a:b"],
                "limits": [{"limit": 5, "periodSeconds": 60, "burst": 5, "name": "default"}],
            },
        },
    }
    assert received.headers["webhook-id"] == str(event.position)
    assert secret.decode() not in str(received)


async def test_each_receiver_gets_what_it_asked_for_under_its_own_secret(teller: Service, receiver: Receiver) -> None:
    async with receiving() as second:
        url = f"http://127.0.0.1:{second.port}/"
        created = await teller.rules.webhooks.registry.create(url, (EventType.CREATED, EventType.CREATED), ADMIN)
        revoked = await teller.rules.webhooks.registry.create(
            f"http://127.0.0.1:{receiver.port}/", (EventType.REVOKED,), ADMIN
        )
        assert created.webhook.events == (EventType.CREATED,)
        token_id, _ = await make(teller, "gate")
        await teller.rules.managed.tokens.revoke(token_id, ADMIN)
        await deliver(teller)
    assert told(second) == [("token.created", token_id)]
    assert told(receiver) == [("token.revoked", token_id)]
    Webhook(revoked.secret).verify(receiver.received[0].body, receiver.received[0].headers)
    assert created.secret != revoked.secret
    assert all(known.secret.startswith("whsec_") for known in (created, revoked))


async def test_the_secret_is_derived_and_the_record_tells_nothing_of_it(teller: Service, receiver: Receiver) -> None:
    await listen(teller, receiver)
    known = next(iter(teller.rules.webhooks.registry.known.values()))
    stored = await teller.rules.webhooks.registry._store.all()
    assert known.secret.removeprefix("whsec_").encode() not in b"".join(stored.values())
    before = known.secret
    await teller.rules.webhooks.registry.refresh()
    assert next(iter(teller.rules.webhooks.registry.known.values())).secret == before


async def test_a_receiver_that_fails_is_asked_again_later_and_later_for_a_day(
    teller: Service, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
    webhook_id = await listen(teller, receiver)
    await make(teller, "gate")
    started, waits = clock(), []
    while True:
        await deliver(teller)
        (logged,) = await teller.rules.webhooks.log.read(webhook_id, None, 10)
        delivery, status, due = logged
        assert (delivery.attempts, delivery.status, delivery.error) == (len(waits) + 1, 500, "answered 500")
        if status == "dead":
            break
        waits.append(due - clock())
        await deliver(teller)  # not due yet
        assert len(receiver.received) == len(waits)
        clock.forward(waits[-1] + 1)
    assert all(later > 1.3 * earlier for earlier, later in pairwise(waits[1:9]))
    assert 15 < len(waits) < 30
    assert 0.8 * GIVE_UP_SECONDS < clock() - started <= GIVE_UP_SECONDS + 60
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
    assert len({received.headers["webhook-timestamp"] for received in receiver.received}) > 15
    await deliver(teller)
    assert await teller.rules.webhooks.log.read(webhook_id, "pending", 10) == []
    assert [logged[1] for logged in await teller.rules.webhooks.log.read(webhook_id, "dead", 10)] == ["dead"]


async def test_a_receiver_that_says_when_to_come_again_is_left_alone_until_then(
    teller: Service, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [b"HTTP/1.1 429 Later\r\nRetry-After: 3000\r\n\r\n"]
    await listen(teller, receiver, EventType.CREATED)
    made = [(await make(teller, "gate"))[0]]
    await deliver(teller)
    made.append((await make(teller, "door"))[0])
    clock.forward(2990)
    await deliver(teller)
    assert len(receiver.received) == 1
    receiver.answers, receiver.received = [TAKEN], []
    clock.forward(20)
    await deliver(teller)
    assert told(receiver) == sorted(("token.created", token_id) for token_id in made)


async def test_a_receiver_that_was_off_is_told_what_is_new_at_once_whatever_it_asked_for(
    teller: Service, receiver: Receiver
) -> None:
    receiver.answers = [b"HTTP/1.1 503 Later\r\nRetry-After: 999999999\r\n\r\n"]
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    await make(teller, "gate")
    await deliver(teller)
    receiver.answers, receiver.received = [TAKEN], []
    made = (await make(teller, "door"))[0]
    for active in (False, True):
        assert not receiver.received
        await teller.rules.webhooks.registry.switch(webhook_id, ADMIN, active=active)
        await deliver(teller)
    assert told(receiver) == [("token.created", made)]


async def test_a_receiver_that_comes_back_gets_what_it_missed(
    teller: Service, receiver: Receiver, clock: Clock
) -> None:
    receiver.answers = [b"HTTP/1.1 503 Later\r\n\r\n"]
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    made = [(await make(teller, f"gate {number}"))[0] for number in range(30)]
    await deliver(teller)
    receiver.answers, receiver.received = [TAKEN], []
    clock.forward(60)
    await deliver(teller)
    assert told(receiver) == sorted(("token.created", token_id) for token_id in made)
    states = {status for _, status, _ in await teller.rules.webhooks.log.read(webhook_id, None, 100)}
    assert states == {"delivered"}


async def test_a_receiver_that_is_gone_for_good_is_not_asked_again(teller: Service, receiver: Receiver) -> None:
    receiver.answers = [b"HTTP/1.1 410 Gone\r\n\r\n"]
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    await make(teller, "gate")
    await deliver(teller)
    assert [
        (logged[0].attempts, logged[1]) for logged in await teller.rules.webhooks.log.read(webhook_id, None, 9)
    ] == [(1, "dead")]


async def test_one_receiver_that_hangs_holds_no_other_up(teller: Service, receiver: Receiver) -> None:
    async with receiving() as hanging:
        hanging.answers = [None]
        await listen(teller, hanging, EventType.CREATED)
        await listen(teller, receiver, EventType.CREATED)
        for number in range(3):
            await make(teller, f"gate {number}")
            await teller.rules.webhooks.deliveries.work()
            quick = [
                task
                for (_, name), task in teller.rules.webhooks.deliveries._busy.items()
                if str(receiver.port) in teller.rules.webhooks.registry.known[name].webhook.url
            ]
            await asyncio.gather(*quick)
        assert len(receiver.received) == 3
        await teller.rules.webhooks.deliveries.aclose()


async def test_a_deleted_receiver_is_told_nothing_more(teller: Service, receiver: Receiver, clock: Clock) -> None:
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
    webhook_id = await listen(teller, receiver)
    await make(teller, "gate")
    await deliver(teller)
    asked = len(receiver.received)
    await teller.rules.webhooks.registry.delete(webhook_id, ADMIN)
    with pytest.raises(NotFound):
        await teller.rules.webhooks.registry.delete(webhook_id, ADMIN)
    with pytest.raises(NotFound):
        await teller.rules.webhooks.registry.find(webhook_id)
    clock.forward(60)
    await make(teller, "door")
    await deliver(teller)
    assert len(receiver.received) == asked
    assert await teller.rules.webhooks.log.read(webhook_id, None, 10) == []
    actions = [event.entry.action async for event in teller.rules.audit.reader.every(AuditFilter(target=webhook_id))]
    assert actions == ["webhook.deleted", "webhook.created"]


@pytest.mark.slow
async def test_of_four_processes_one_delivers_and_another_takes_over_when_it_dies(
    make_service: MakeService, receiver: Receiver
) -> None:
    processes = [await make_service(background=False, shards=16, webhook_allow_private=True) for _ in range(4)]
    await listen(processes[0], receiver, EventType.CREATED)
    for number in range(20):
        await make(processes[number % 4], f"gate {number}")
        await asyncio.gather(*[deliver(process) for process in processes])
    assert len(receiver.received) == 20
    # One ends in good order, then all others die and their locks run out.
    await processes[0].rules.webhooks.deliveries.aclose()
    await make(processes[0], "after an end")
    await asyncio.gather(*[deliver(process) for process in processes[1:]])
    assert len(receiver.received) == 21
    for shard in processes[1].stores.shards:
        await shard.link.execute("DEL", shard.keys.delivery_lock)
    await make(processes[0], "after a death")
    await deliver(processes[2])
    await deliver(processes[1])
    assert len(receiver.received) == 22


async def test_what_a_process_sent_before_it_died_is_told_again_by_the_next(
    teller: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather twice than not at all: it could not say any more how far it had come."""
    await listen(teller, receiver, EventType.CREATED)
    made = [(await make(teller, f"gate {number}"))[0] for number in range(5)]

    async def die(*args: Any) -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "move", die)
        await deliver(teller)
    everything = sorted(("token.created", token_id) for token_id in made)
    assert told(receiver) == everything
    receiver.received = []
    await deliver(teller)
    assert told(receiver) == everything
    receiver.received = []
    await deliver(teller)
    assert told(receiver) == []


async def test_a_receiver_is_told_nothing_that_was_before_it(teller: Service, receiver: Receiver) -> None:
    async with receiving() as second:
        await listen(teller, receiver, EventType.CREATED)
        before, _ = await make(teller, "before")
        shard = teller.stores.shards[0]

        async def now() -> int:
            # Of the server itself, which numbers the events: what it tells the service stands still.
            seconds, micros = await shard.link.execute("EVAL", "return redis.call('TIME')", 0)
            return int(seconds) * 1000 + int(micros) // 1000

        began = await now()
        await until(lambda: _later(now, began))
        await listen(teller, second, EventType.CREATED)
        after, _ = await make(teller, "after")
        await deliver(teller)
        assert told(receiver) == sorted([("token.created", before), ("token.created", after)])
        assert told(second) == [("token.created", after)]


async def _later(now: Callable[[], Awaitable[int]], began: int) -> bool:
    return await now() > began


@pytest.mark.slow
async def test_more_events_than_a_page_are_all_delivered(make_service: MakeService, receiver: Receiver) -> None:
    teller = await make_service(background=False, webhook_allow_private=True)
    await listen(teller, receiver, EventType.CREATED)
    made = [(await make(teller, f"gate {number}"))[0] for number in range(330)]
    await deliver(teller)
    assert told(receiver) == sorted(("token.created", token_id) for token_id in made)
    assert receiver.most_at_once <= 16


async def test_a_receiver_deleted_while_it_is_told_is_told_no_more(
    make_service: MakeService, receiver: Receiver
) -> None:
    teller = await make_service(background=False, webhook_allow_private=True)
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    for number in range(120):
        await make(teller, f"gate {number}")
    await teller.rules.webhooks.deliveries.work()
    await until(lambda: receiver.received)
    await teller.rules.webhooks.registry.delete(webhook_id, ADMIN)
    await deliver(teller)
    assert len(receiver.received) < 100
    await deliver(teller)
    shard = teller.stores.shards[0]
    assert (
        await shard.link.execute(
            "EXISTS",
            shard.keys.deliveries(webhook_id),
            shard.keys.deliveries_due(webhook_id),
            shard.keys.webhook_places(webhook_id),
            shard.keys.deliveries_made(webhook_id),
        )
        == 0
    )


async def test_a_lost_answer_loses_no_event(make_service: MakeService, receiver: Receiver) -> None:
    teller = await make_service(background=False, webhook_allow_private=True, wrap=Interrupted)
    lost = teller.stores.shards[0].link.after
    await listen(teller, receiver, EventType.CREATED)
    await deliver(teller)
    for number, command in enumerate(("HGET", "LPUSH", "LTRIM", "HSET")):
        token_id, _ = await make(teller, f"gate {number}")
        lost[command] = [AWAY]
        await deliver(teller)
        assert lost[command] == []
        await deliver(teller)
        assert ("token.created", token_id) in told(receiver), command


async def test_without_redis_deliveries_wait(make_service: MakeService, receiver: Receiver) -> None:
    teller = await make_service(background=False, webhook_allow_private=True, wrap=Interrupted)
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    await make(teller, "gate")
    link = teller.stores.shards[0].link
    link.before["ZRANGEBYSCORE"] = AWAY
    await deliver(teller)
    assert receiver.received == []
    link.before.clear()
    await deliver(teller)
    assert len(receiver.received) == 1
    assert [status for _, status, _ in await teller.rules.webhooks.log.read(webhook_id, None, 9)] == ["delivered"]
    link.before[""] = AWAY
    await teller.rules.webhooks.deliveries.aclose()


async def test_a_token_is_said_to_expire_a_week_and_a_day_before_once_each(
    teller: Service, receiver: Receiver, clock: Clock
) -> None:
    await listen(teller, receiver, EventType.EXPIRING)
    await deliver(teller)
    clock.forward(60)
    month, _ = await make(teller, "month", days=30)
    week, _ = await make(teller, "week", days=7)
    await make(teller, "half a day", days=0.5)
    off, _ = await make(teller, "off", days=30)
    await teller.rules.managed.tokens.update(off, {"active": False}, ADMIN)
    days = {}
    for day in range(1, 31):
        clock.forward(DAY)
        for _ in range(2):
            await deliver(teller)
        days[day] = [
            (json.loads(one.body)["data"]["tokenId"], json.loads(one.body)["data"]["after"]["window"])
            for one in receiver.received
        ]
        receiver.received = []
    assert {day: said for day, said in days.items() if said} == {
        6: [(week, "1d")],
        23: [(month, "7d")],
        29: [(month, "1d")],
    }


async def test_what_expired_while_no_process_ran_is_not_said_to_expire(
    teller: Service, receiver: Receiver, clock: Clock
) -> None:
    await listen(teller, receiver, EventType.EXPIRING)
    await deliver(teller)
    await make(teller, "gone meanwhile", days=10)
    left, _ = await make(teller, "nearly gone", days=20.5)
    clock.forward(20 * DAY)
    await deliver(teller)
    said = [json.loads(received.body)["data"] for received in receiver.received]
    assert sorted((data["tokenId"], data["after"]["window"]) for data in said) == [(left, "1d"), (left, "7d")]


@pytest.mark.slow
async def test_more_tokens_that_expire_in_one_second_than_a_slice_holds_are_each_said_once(
    make_service: MakeService, receiver: Receiver, clock: Clock
) -> None:
    teller = await make_service(background=False, webhook_allow_private=True)
    await listen(teller, receiver, EventType.EXPIRING)
    await deliver(teller)
    expires_at = int(clock()) + 20 * DAY
    made = []
    for start in range(0, 750, 50):
        names = [f"gate {number}" for number in range(start, start + 50)]
        made += await asyncio.gather(
            *[teller.rules.managed.tokens.create(NewToken(name, expires_at), ADMIN) for name in names]
        )
    clock.forward(13 * DAY + 60)
    await deliver(teller)
    said = [json.loads(received.body)["data"]["tokenId"] for received in receiver.received]
    assert sorted(said) == sorted(created.token.token_id for created in made)


async def test_two_processes_that_announce_at_once_write_each_notice_once(
    make_service: MakeService, receiver: Receiver, clock: Clock
) -> None:
    processes = [await make_service(background=False, webhook_allow_private=True) for _ in range(3)]
    await listen(processes[0], receiver, EventType.EXPIRING)
    shard = processes[0].stores.shards[0]
    for process in processes:
        await process.rules.webhooks.registry.refresh()
        await process.rules.webhooks.notices.announce_expiring(shard)
    for number in range(20):
        await make(processes[0], f"gate {number}", days=10)
    clock.forward(4 * DAY)
    await asyncio.gather(*[process.rules.webhooks.notices.announce_expiring(shard) for process in processes])
    assert await shard.link.execute("XLEN", shard.keys.notices) == 20


async def test_a_limit_exceeded_is_told_once_a_minute(teller: Service, receiver: Receiver) -> None:
    await listen(teller, receiver, EventType.LIMIT_EXCEEDED)
    token_id, secret = await make(teller, "gate", rate_limits=(RateLimit(2, 3600),))
    for _ in range(3):
        for _ in range(4):
            await teller.rules.authority.verify(secret, (Kind.MANAGED,))
        await teller.rules.usage.flush()
        await deliver(teller)
    assert told(receiver) == [("token.limit_exceeded", token_id)]
    assert json.loads(receiver.received[0].body)["data"]["name"] == "gate"
    assert not [event async for event in teller.rules.audit.reader.every(AuditFilter(action="token.limit_exceeded"))]


async def test_a_second_consumer_with_another_key_is_told_of(teller: Service, receiver: Receiver) -> None:
    await listen(teller, receiver, EventType.CONSUMED_TWICE)
    issued = await teller.rules.one_time.issue(address="192.0.2.1", anonymous=False, subject="order-7")
    tries = [
        await teller.rules.one_time.consume(issued.secret.encode(), request=key) for key in ("a", "a", "b", "c", "")
    ]
    assert [verdict.outcome for verdict in tries] == [Outcome.ACTIVE] * 2 + [Outcome.UNKNOWN] * 3
    await deliver(teller)
    ((kind, token_id),) = told(receiver)
    assert kind == "token.consumed_twice"
    assert tries[0].credential is not None
    assert token_id == tries[0].credential.token_id
    assert issued.secret not in receiver.received[0].body


async def test_nothing_is_noticed_that_nobody_wants(teller: Service, receiver: Receiver) -> None:
    token_id, secret = await make(teller, "gate", rate_limits=(RateLimit(1, 3600),))
    for _ in range(3):
        await teller.rules.authority.verify(secret, (Kind.MANAGED,))
    await teller.rules.usage.flush()
    await deliver(teller)
    shard = teller.stores.shards.of_name(token_id)
    assert await shard.link.execute("EXISTS", shard.keys.notices, shard.keys.delivery_lock) == 0


async def test_what_somebody_else_wrote_is_neither_followed_nor_sent(
    teller: Service, receiver: Receiver, clock: Clock
) -> None:
    """Full access to Redis gives no way to make the service sign something or knock somewhere."""
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    token_id, _ = await make(teller, "gate")
    await deliver(teller)
    shard = teller.stores.shards.of_id(token_id)
    assert shard is not None
    key, due = shard.keys.deliveries(webhook_id), shard.keys.deliveries_due(webhook_id)
    event_id, record = await shard.link.execute("HGETALL", key)
    await shard.link.execute("HSET", key, event_id, record.replace(b"token.created", b"token.revoked"))
    await shard.link.execute("HSET", key, "9-9.0", record)
    await shard.link.execute("ZADD", due, 0, "9-9.0", 0, "8-8.0")
    await shard.link.execute("XADD", shard.keys.changes, "*", "e", b'{"action":"token.created"}', "s", "x")
    first = teller.stores.shards[0]
    stored = await teller.rules.webhooks.registry._store.all()
    await first.link.execute("HSET", first.keys.webhooks, "another", stored[webhook_id])
    receiver.received = []
    clock.forward(60)
    await deliver(teller)
    assert receiver.received == []
    assert list(teller.rules.webhooks.registry.known) == [webhook_id]
    assert await teller.rules.webhooks.log.read(webhook_id, None, 9) == []


async def test_what_a_receiver_has_no_room_for_stays_in_the_stream_until_it_has(
    make_service: MakeService, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(receiver_module, "MOST_WAITING", 5)
    teller = await make_service(background=False, webhook_allow_private=True)
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    made = [(await make(teller, f"gate {number}"))[0] for number in range(40)]
    for _ in range(4):
        await deliver(teller)
        clock.forward(7200)
    states = [status for _, status, _ in await teller.rules.webhooks.log.read(webhook_id, None, 20)]
    # The first entry read is that of the webhook itself, of which nobody is told.
    assert states == ["pending"] * 4
    assert await teller.rules.webhooks.log.standing(webhook_id) == (4, 36, 0)
    receiver.answers, receiver.received = [TAKEN], []
    await deliver(teller)
    assert told(receiver) == sorted(("token.created", token_id) for token_id in made)
    assert await teller.rules.webhooks.log.standing(webhook_id) == (0, 0, 0)


@pytest.mark.slow
async def test_a_receiver_that_takes_nothing_is_asked_little_and_holds_no_other_up(
    make_service: MakeService, receiver: Receiver, clock: Clock
) -> None:
    teller = await make_service(background=False, webhook_allow_private=True)
    async with receiving() as dead:
        dead.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
        await listen(teller, dead, EventType.CREATED)
        await listen(teller, receiver, EventType.CREATED)
        made = [(await make(teller, f"gate {number}"))[0] for number in range(250)]
        await deliver(teller)
        assert told(receiver) == sorted(("token.created", token_id) for token_id in made)
        asked = len(dead.received)
        assert asked == 30  # one page less the entries of the webhooks themselves, before it was known to be dead
        for _ in range(10):
            await deliver(teller)
            clock.forward(1)
        assert len(dead.received) - asked <= 12
        dead.answers = [TAKEN]
        clock.forward(600)
        await deliver(teller)
        assert {token_id for _, token_id in told(dead)} == set(made)


async def test_events_that_the_audit_log_dropped_before_they_were_read_are_counted_shown_and_said_once_a_minute(
    make_service: MakeService,
    receiver: Receiver,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.composition.rules._LEAST_ROOM", 0)
    teller = await make_service(background=False, webhook_allow_private=True, audit_max_entries=50)
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
    webhook_id = await listen(teller, receiver, EventType.CREATED)
    await make(teller, "first")
    await deliver(teller)
    (shard,) = teller.stores.shards
    for number in range(400):
        await make(teller, f"gate {number}")
    left: int = await shard.link.execute("XLEN", shard.keys.changes)
    assert left < 400
    receiver.answers, receiver.received = [TAKEN], []
    clock.forward(60)
    for _ in range(3):
        await deliver(teller)
    assert len(receiver.received) == left + 1
    assert (await teller.rules.webhooks.log.standing(webhook_id)).dropped == 400 - left
    said = [record.getMessage() for record in caplog.records if "trimmed" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(f"{400 - left} events")
    assert (
        f'tokens_webhook_deliveries_total{{outcome="dropped"}} {400 - left}.0'
        in (await teller.metrics.render(""))[0].decode()
    )


async def test_notices_wait_while_the_quickest_receiver_has_not_read_them(
    make_service: MakeService, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices_module, "_SLICE", 3)
    monkeypatch.setattr(notices_module, "_SLICES", 2)
    monkeypatch.setattr(deliveries_module, "NOTICES_KEPT", 8)
    teller = await make_service(background=False, webhook_allow_private=True)
    receiver.answers = [b"HTTP/1.1 500 No\r\n\r\n"]
    await listen(teller, receiver, EventType.EXPIRING)
    await deliver(teller)
    made = [(await make(teller, f"gate {number}", days=20))[0] for number in range(40)]
    clock.forward(13 * DAY + 60)
    (shard,) = teller.stores.shards
    for _ in range(8):
        await deliver(teller)
        clock.forward(1)
    assert await shard.link.execute("XLEN", shard.keys.notices) < 15
    receiver.answers, receiver.received = [TAKEN], []
    clock.forward(600)
    for _ in range(10):
        await deliver(teller)
        clock.forward(1)
    assert {token_id for _, token_id in told(receiver)} == set(made)


async def test_there_are_twenty_receivers_at_most(teller: Service, receiver: Receiver) -> None:
    for _ in range(20):
        await listen(teller, receiver)
    with pytest.raises(Conflict) as refused:
        await listen(teller, receiver)
    assert refused.value.code == "too_many_webhooks"


async def test_a_webhook_is_refused_where_it_may_not_go(make_service: MakeService) -> None:
    service = await make_service(background=False)
    for url in ("http://hooks.example.com/", "https://10.0.0.1/", "https://localhost/"):
        with pytest.raises(InvalidRequest):
            await service.rules.webhooks.registry.create(url, ALL, ADMIN)
    service.rules.webhooks.destinations.resolve = resolving("93.184.216.34", "10.0.0.1")
    with pytest.raises(InvalidRequest):
        await service.rules.webhooks.registry.create("https://hooks.example.com/", ALL, ADMIN)
    service.rules.webhooks.destinations.resolve = resolving("93.184.216.34")
    await service.rules.webhooks.registry.create("https://hooks.example.com/", ALL, ADMIN)

    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    service.rules.webhooks.destinations.resolve = nowhere
    await service.rules.webhooks.registry.create("https://later.example.com/", ALL, ADMIN)
    assert not [event async for event in service.rules.audit.reader.every(AuditFilter(text="10.0.0.1"))]


async def test_pauses_double_to_two_hours_and_differ_between_events() -> None:
    def paused(attempts: int, event_id: str = "1-0.0") -> float:
        return pause(Delivery(event_id, "token.created", "", 0, attempts))

    assert 4.5 <= paused(1) <= 5.5
    assert 36 <= paused(4) <= 44
    assert 6480 <= paused(40) <= 7920
    asked = Delivery("1-0.0", "token.created", "", 0, 1, last_at=100, wait=3000)
    assert pause(asked) == 3000
    assert pause(msgspec.structs.replace(asked, wait=10**6)) == GIVE_UP_SECONDS - 100
    assert len({paused(3, f"{number}-0.0") for number in range(50)}) > 30
