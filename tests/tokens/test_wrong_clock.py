"""A process whose clock is wrong: it ends nothing that lives, and issues nothing that is dead."""

import pytest

from service.app import Service
from service.model import Status
from service.store.managed.expiry import BATCH, SLICE
from service.store.managed.query import Query
from tests.builders import ADDRESS, ADMIN, DAY, create, create_many, outcome, sign_in
from tests.conftest import Clock, MakeService


async def listed(service: Service) -> dict[str, Status]:
    tokens, _, _ = await service.rules.managed.queries.page(Query(frozenset(Status)))
    return {token.name: token.status(service.clock()) for token in tokens}


async def expired(service: Service) -> int:
    return (await service.rules.managed.queries.statistics()).expired


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_sweeper_in_the_year_2028_ends_nothing(make_service: MakeService, clock: Clock, shards: int) -> None:
    service = await make_service(background=False, shards=shards)
    created = await create_many(service, *[f"token {number}" for number in range(20)], days=1)
    ended = await create(service, "revoked")
    await service.rules.managed.tokens.revoke(ended.token.token_id, ADMIN)
    off = await create(service, "off", days=1)
    await service.rules.managed.tokens.update(off.token.token_id, {"active": False}, ADMIN)
    clock.forward(600 * DAY)
    other = await make_service(background=False, shards=shards)
    for _ in range(3):
        assert await other.rules.managed.sweeper.sweep() == 0
    clock.forward(-600 * DAY)
    assert len(await listed(service)) == 22
    assert await expired(service) == 0
    for one in created:
        assert await outcome(service, one.secret) == "active"
        assert await service.rules.managed.tokens.revoke(one.token.token_id, ADMIN)


async def test_a_service_follows_the_clock_of_redis(make_service: MakeService, clock: Clock) -> None:
    """An hour behind or ahead: what it issues lives as long as it says, by everybody's reckoning."""
    right = await make_service(background=False)
    for offset in (-3600, 7200):
        clock.forward(offset)
        wrong = await make_service(background=False)
        clock_of_redis = wrong.stores.shards[0].link.clock = Clock()
        await wrong.stores.monitor.check()
        assert abs(wrong.clock() - clock_of_redis()) < 60
        issued = await wrong.rules.one_time.issue(address=ADDRESS, anonymous=True)
        assert (await wrong.rules.one_time.consume(issued.secret.encode())).active
        secret = await sign_in(wrong)
        token = await create(wrong, f"made at {offset}", days=0.1)
        wrong.clock.seconds_ahead = 0.0
    clock.forward(-3600)
    assert (await right.rules.sessions.check(secret)).active
    assert await outcome(right, token.secret) == "active"


@pytest.mark.slow
async def test_what_a_wrong_clock_listed_as_expired_is_listed_as_it_is_again(
    faked: Service, fake_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    created = await create_many(faked, *[f"token {number}" for number in range(BATCH + 10)], days=10)
    never = await create(faked, "off", days=10)
    await faked.rules.managed.tokens.update(never.token.token_id, {"active": False}, ADMIN)
    ended = await create(faked, "ended", days=1)
    # A Redis whose clock went wrong for a moment, in which nobody asked for these keys.
    keys = faked.stores.shards[0].keys
    link = faked.stores.shards[0].link
    for one in (*created, never):
        await link.execute("ZREM", keys.on, one.token.token_id)
        await link.execute("ZREM", keys.off, one.token.token_id)
        await link.execute("ZREM", keys.expiry, one.token.token_id)
        await link.execute("ZADD", keys.dead, one.token.created_micros, one.token.token_id)
        await link.execute("ZADD", keys.purge, one.token.expires_at + 30 * DAY, one.token.token_id)
    assert await expired(faked) == BATCH + 11
    fake_clock.forward(2 * DAY)
    await faked.rules.managed.sweeper.sweep()
    assert await expired(faked) == 1
    statistics = await faked.rules.managed.queries.statistics()
    assert (statistics.active, statistics.inactive) == (BATCH + 10, 1)
    assert "listed as they are again" in caplog.text
    assert await outcome(faked, created[0].secret) == "active"
    assert (await listed(faked))["ended"] is Status.EXPIRED
    fake_clock.forward(9 * DAY)
    await faked.rules.managed.sweeper.sweep()
    assert await expired(faked) == BATCH + 12
    assert ended


async def test_a_purge_takes_none_that_lives_and_leaves_no_credential(
    make_service: MakeService, fake_clock: Clock
) -> None:
    service = await make_service(fake=True, max_lifetime_days=0)
    alive, endless, off, gone = [
        (await create(service, name, days=days)).token
        for name, days in (("alive", 300), ("endless", 0), ("off", 300), ("gone", 300))
    ]
    await service.rules.managed.tokens.update(off.token_id, {"active": False}, ADMIN)
    await service.rules.managed.tokens.revoke(gone.token_id, ADMIN)
    keys, link = service.stores.shards[0].keys, service.stores.shards[0].link
    # Somebody's wrong clock: all are to be purged at once, and the revoked one's credential has come back.
    for one in (alive, endless, off, gone):
        await link.execute("ZADD", keys.purge, 1, one.token_id)
    for one in (alive, endless, off):
        for index in (keys.on, keys.off, keys.expiry):
            await link.execute("ZREM", index, one.token_id)
        await link.execute("ZADD", keys.dead, one.created_micros, one.token_id)
    back = await link.execute("KEYS", keys.credential_prefix + b"*")
    await link.execute("SET", keys.credential(gone.digest), await link.execute("GET", back[0]))
    await service.rules.managed.sweeper.sweep()
    assert await listed(service) == {"alive": Status.ACTIVE, "endless": Status.ACTIVE, "off": Status.INACTIVE}
    statistics = await service.rules.managed.queries.statistics()
    assert (statistics.active, statistics.inactive, statistics.expired) == (2, 1, 0)
    # Each is due at its date; behind every date stands what has none.
    due = [int(await link.execute("ZSCORE", keys.expiry, one.token_id)) for one in (alive, endless, off)]
    assert due == [alive.expires_at, endless.created_micros, -off.expires_at]
    held = [await link.execute("EXISTS", keys.credential(one.digest)) for one in (alive, endless, off, gone)]
    assert held == [1, 1, 0, 0]
    assert await link.execute("ZCARD", keys.purge) == 0


async def test_a_token_without_its_credential_holds_no_purge_up(faked: Service, fake_clock: Clock) -> None:
    broken = await create(faked, "broken", days=10)
    keys, link = faked.stores.shards[0].keys, faked.stores.shards[0].link
    await link.execute("DEL", keys.credential(broken.token.digest))
    await link.execute("ZADD", keys.purge, 1, broken.token.token_id)
    await faked.rules.managed.sweeper.sweep()
    assert int(await link.execute("ZSCORE", keys.purge, broken.token.token_id)) == broken.token.expires_at + 30 * DAY
    fake_clock.forward(41 * DAY)
    await faked.rules.managed.sweeper.sweep()
    assert await listed(faked) == {}


async def test_a_clock_set_back_in_the_midst_of_a_sweep_ends_the_sweep(
    faked: Service, fake_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await create(faked, days=1)
    told = int(fake_clock()) + 500 * DAY

    async def now(_: object) -> int:
        return told

    monkeypatch.setattr(faked.rules.managed.sweeper._expiry, "now", now)
    assert await faked.rules.managed.sweeper.sweep() == 0
    await faked.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    assert await faked.rules.managed.sweeper.sweep() == 0
    assert await listed(faked) == {"ci": Status.REVOKED}


async def test_an_index_is_trimmed_in_slices(make_service: MakeService) -> None:
    service = await make_service(background=False)
    keys, link = service.stores.shards[0].keys, service.stores.shards[0].link
    members = [part for number in range(2 * SLICE + 3) for part in (1, f"past {number}")]
    await link.execute("ZADD", keys.one_time_index, *members, int(service.clock()) + 60, "to come")
    await service.rules.managed.sweeper.sweep()
    assert await link.execute("ZRANGE", keys.one_time_index, 0, -1) == [b"to come"]
