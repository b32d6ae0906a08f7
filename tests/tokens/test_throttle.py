"""Rate limits on guessing passwords: per account, per address, and never against whoever signed in from there before."""

import asyncio
import base64
import threading
from collections import Counter
from typing import Any
from unittest.mock import AsyncMock

import pytest
from argon2 import PasswordHasher

from service.app import Service
from service.errors import RateLimited, StoreUnavailable
from service.tokens.accounts.accounts import normalise
from service.tokens.accounts.login import (
    GLOBAL_LIMIT,
    HOLD_SECONDS,
    PER_ACCOUNT,
    PER_ADDRESS,
    PER_NETWORK,
    InvalidCredentials,
    Throttled,
)
from service.tokens.accounts.passwords import Busy, PasswordChecker, decoy_hash, hash_password
from service.tokens.audit.refusals import MOST_ADDRESSES
from tests.builders import ADDRESS, actions, all_keys, at, audit, create, outcome, sign_in, until
from tests.conftest import PASSWORD, SERVER_KEY, MakeService, TurnTime
from tests.links import Recording


async def guess(service: Service, username: str = "vera", address: str = ADDRESS) -> int:
    """A wrong password: the seconds to wait, 0 where it was looked at."""
    try:
        await service.rules.sessions.sign_in(username, "wrong", at(address))
    except InvalidCredentials:
        return 0
    except RateLimited as refused:
        return refused.retry_after
    raise AssertionError("a wrong password was right")


@pytest.fixture
def checked(still: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that was checked against a hash."""
    checked: list[str] = []
    matches = still.rules.accounts.passwords.matches

    async def counted(password_hash: str, password: str) -> bool:
        right = await matches(password_hash, password)
        checked.append(password)
        return right

    monkeypatch.setattr(still.rules.accounts.passwords, "matches", counted)
    return checked


async def test_five_wrong_passwords_for_an_account_are_checked_from_wherever_they_come(
    still: Service, checked: list[str]
) -> None:
    waits = await asyncio.gather(*[guess(still, address=f"192.0.2.{number}") for number in range(60)])
    assert waits.count(0) == len(checked) == 5
    assert all(800 < wait <= 900 for wait in waits if wait)
    await still.rules.audit.refusals.tell()
    told = [entry for entry in await audit(still) if entry.action == "login.throttled"]
    assert len(told) == MOST_ADDRESSES + 1
    assert sum((entry.after or {"count": 1})["count"] for entry in told) == 55
    counted = (await still.metrics.render(""))[0].decode()
    assert 'tokens_login_total{outcome="failed"} 5.0' in counted
    assert 'tokens_login_total{outcome="throttled"} 55.0' in counted


async def test_twenty_wrong_passwords_of_an_address_are_checked_for_whatever_account(
    still: Service, checked: list[str]
) -> None:
    waits = await asyncio.gather(*[guess(still, username=f"user {number}") for number in range(60)])
    assert waits.count(0) == len(checked) == 20
    assert await guess(still, "vera", "192.0.2.200") == 0


async def test_tries_are_counted_together_while_the_server_key_changes(make_service: MakeService) -> None:
    new = "the next server key, long enough too"
    begun = await make_service(background=False)
    one = await make_service(background=False, secret_key_previous=new)
    other = await make_service(background=False, secret_key=new, secret_key_previous=SERVER_KEY)
    for name, sides in (("vera", (begun, one)), ("uma", (one, other)), ("nobody", (other, one))):
        waits = [await guess(side, name, "192.0.2.1") for side in sides * 3]
        assert [wait > 0 for wait in waits] == [False] * PER_ACCOUNT + [True]
        with pytest.raises(Throttled):
            await sides[1].rules.sessions.sign_in(name, PASSWORD, at("192.0.2.2"))
    # Who has signed in at one of them is known at the other: that one looks at the password.
    await sign_in(one, "admin")
    for number in range(PER_ACCOUNT):
        await guess(one, "admin", f"198.51.100.{number}")
    assert await guess(other, "admin") == 0


async def test_an_account_that_does_not_exist_is_throttled_like_one_that_does(still: Service) -> None:
    for username in ("vera", "nobody"):
        answers = []
        for number in range(7):
            try:
                await still.rules.sessions.sign_in(username, "wrong", at(f"192.0.2.{number}"))
            except InvalidCredentials as refused:
                answers.append((refused.detail, refused.tries_left))
            except RateLimited as throttled:
                answers.append((throttled.detail, -1))
        assert (
            answers
            == [("That name and password do not match.", left) for left in (4, 3, 2, 1, 0)]
            + [("Too many tries. Wait before the next one.", -1)] * 2
        )


VARIANTS = [
    "vera",
    "Vera",
    "VERA",
    " vera",
    "vera ",
    "v e r a",
    "ve\u200bra",
    "ve\u200dra",
    "\ufeffvera",
    "vera\x00",
    "ve\tra",
    "ｖｅｒａ",
    "ⓥera",
    "𝐯era",
    "ve\u00adra",
    "vera\r\n",
    "\u2003vera",
    "ve\u2060ra",
]


def test_variants_of_a_name_are_one_name() -> None:
    assert {normalise(variant) for variant in VARIANTS} == {"vera"}
    assert len({normalise(name) for name in ("vera", "wera", "véra", "vera2", "ver")}) == 5


async def test_variants_of_a_name_share_one_count(still: Service, checked: list[str]) -> None:
    for number, variant in enumerate(VARIANTS):
        await guess(still, variant, f"192.0.2.{number}")
    assert len(checked) == 5


async def test_the_owner_gets_in_from_where_they_signed_in_before_while_others_guess(still: Service) -> None:
    await sign_in(still, "vera", "198.51.100.1")
    for number in range(30):
        await guess(still, address=f"192.0.2.{number}")
    assert await outcome(still, await sign_in(still, "vera", "198.51.100.1")) == "active"
    with pytest.raises(RateLimited):
        await sign_in(still, "vera", "198.51.100.2")


async def test_a_known_address_has_five_tries_of_its_own(still: Service) -> None:
    await sign_in(still, "vera", "198.51.100.1")
    assert [await guess(still, "vera", "198.51.100.1") > 0 for _ in range(6)] == [False] * 5 + [True]
    # They are not the account's: somebody new may still try.
    assert await guess(still, "vera", "198.51.100.2") == 0


async def test_right_passwords_use_up_no_tries(still: Service) -> None:
    for _ in range(25):
        await sign_in(still, "vera")
    for _ in range(25):
        await still.rules.accounts.login.check_password("uma", PASSWORD, at("192.0.2.99"))
    assert await guess(still, "vera") == 0
    assert await guess(still, "uma", "192.0.2.99") == 0


async def test_after_a_quarter_of_an_hour_one_may_try_again(faked: Service, turn_time: TurnTime) -> None:
    for _ in range(5):
        await guess(faked)
    wait = await guess(faked)
    turn_time(wait - 60)
    assert 58 <= await guess(faked) <= 60
    turn_time(61)
    assert await guess(faked) == 0
    assert await outcome(faked, await sign_in(faked, "vera")) == "active"


async def test_checks_wait_in_a_bounded_queue_two_at_once_and_the_loop_goes_on(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await make_service(background=False)
    created = await create(service)
    running, go_on = [], threading.Event()

    def verify(password_hash: str, password: str) -> bool:
        running.append(password)
        return go_on.wait(60)

    monkeypatch.setattr("service.tokens.accounts.passwords._verify", verify)
    checks = [
        asyncio.create_task(service.rules.accounts.passwords.matches("hash", f"{number}")) for number in range(40)
    ]
    assert await outcome(service, created.secret) == "active"
    assert [type(check.exception()) for check in checks if check.done()] == [Busy] * 6
    await until(lambda: len(running) == 2)
    go_on.set()
    assert [answer for answer in await asyncio.gather(*checks, return_exceptions=True) if answer is True] == [True] * 34
    assert await service.rules.accounts.passwords.matches("hash", "one more")


async def test_what_no_hash_is_matches_nothing(still: Service) -> None:
    for broken in ("", "$argon2id$", "$argon2id$v=19$m=64,t=1,p=1$x$y", "plain"):
        assert not await still.rules.accounts.passwords.matches(broken, "plain")


async def test_an_accent_in_one_sign_or_in_two_is_the_same_password(still: Service) -> None:
    one, two = "pass\u00e9 compos\u00e9", "passe\u0301 compose\u0301"
    for typed in (one, two):
        for hashed in (hash_password(one), hash_password(two)):
            assert await still.rules.accounts.passwords.matches(hashed, typed)
    # Hashes that another program made of what was typed; the password may be typed at another machine since.
    for raw in map(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash, (one, two)):
        for typed in (one, two):
            assert await still.rules.accounts.passwords.matches(raw, typed)
        assert not await still.rules.accounts.passwords.matches(raw, "passe compose")


def test_a_decoy_costs_what_the_real_one_does_and_matches_nothing() -> None:
    real = hash_password("x")
    for given, shape in (
        (real, real),
        (None, real),
        ("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", "m=64,t=1,p=1"),
    ):
        alike = decoy_hash(given)
        assert alike.split("$")[3] in shape
        assert alike != decoy_hash(given)


async def test_a_closed_checker_checks_no_more() -> None:
    checker = PasswordChecker()
    await checker.aclose()
    with pytest.raises(RuntimeError):
        await checker.matches("$argon2id$", "x")


async def test_twelve_right_passwords_at_once_are_all_right(still: Service) -> None:
    signing_in = [sign_in(still, "vera", f"192.0.2.{number % 2}") for number in range(12)]
    checking = [still.rules.accounts.login.check_password("uma", PASSWORD, at(ADDRESS)) for _ in range(12)]
    await asyncio.gather(*signing_in, *checking)
    assert await guess(still, "vera", "192.0.2.99") == 0


async def test_of_two_hundred_wrong_passwords_at_once_five_are_checked(still: Service, checked: list[str]) -> None:
    guesses = [guess(still, address=f"2001:db8:{number:x}::1") for number in range(200)]
    waits = await asyncio.gather(*guesses)
    assert waits.count(0) == len(checked) == 5
    # Those for whom there was no room to wait may come again, and hear then how long it is.
    assert {wait for wait in waits if wait <= 800} <= {0, 1}


@pytest.mark.parametrize("lost", ["reserve_attempt", "ZREM", "create_session"])
async def test_lost_replies_lock_nobody_out(
    faked: Service, turn_time: TurnTime, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:

    async def told(*args: Any, operation: str = "", **how: Any) -> Any:
        reply = await execute(*args, operation=operation, **how)
        if lost in (operation, args[0]):
            raise StoreUnavailable("The token store does not answer.")
        return reply

    link = faked.stores.shards[0].link
    execute = link.execute
    with monkeypatch.context() as patched:
        patched.setattr(link, "execute", told)
        for _ in range(PER_ACCOUNT + 2):
            with pytest.raises(StoreUnavailable):
                await sign_in(faked, "vera")
    turn_time(HOLD_SECONDS)
    assert await outcome(faked, await sign_in(faked, "vera")) == "active"
    assert await guess(faked, "vera", "192.0.2.99") == 0


async def test_a_password_that_was_not_checked_is_no_try(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(password_hash: str, password: str) -> bool:
        raise Busy

    with monkeypatch.context() as patched:
        patched.setattr(still.rules.accounts.passwords, "matches", busy)
        for _ in range(PER_ACCOUNT + 1):
            with pytest.raises(Busy) as caught:
                await sign_in(still, "vera")
            assert caught.value.retry_after == 1
    assert await outcome(still, await sign_in(still, "vera")) == "active"


async def test_who_waits_longer_than_a_moment_is_asked_to_come_again(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.tokens.accounts.login._PAUSE_SECONDS", 0)
    attempts = still.rules.accounts.login._attempts
    held = [await attempts.reserve("vera", ADDRESS) for _ in range(PER_ACCOUNT)]
    with pytest.raises(Busy):
        await attempts.reserve("vera", ADDRESS)
    await attempts.give_back(held[0])
    await attempts.give_back(await attempts.reserve("vera", ADDRESS))
    monkeypatch.setattr("service.tokens.accounts.login._MOST_WAITING", 0)
    monkeypatch.setattr("service.tokens.accounts.login._RETRIES", None)  # nobody tries again now
    await attempts.reserve("vera", ADDRESS)
    with pytest.raises(Busy):
        await attempts.reserve("vera", ADDRESS)


SPRAYS = [
    ("2001:db8:1:2:{:x}::1", PER_ADDRESS),
    ("::ffff:192.0.2.1", PER_ADDRESS),
    ("192.0.2.{}", PER_NETWORK),
    ("::ffff:192.0.2.{}", PER_NETWORK),
    ("2001:db8:1:{:x}::1", PER_NETWORK),
    ("198.{}.2.1", GLOBAL_LIMIT),
    ("2001:db8:{:x}::1", GLOBAL_LIMIT),
]


@pytest.mark.parametrize(("addresses", "bound"), SPRAYS)
async def test_an_account_each_is_no_free_try(
    still: Service, checked: list[str], monkeypatch: pytest.MonkeyPatch, addresses: str, bound: int
) -> None:
    monkeypatch.setattr("service.tokens.accounts.login.PER_NETWORK", 30)
    monkeypatch.setattr("service.tokens.accounts.login.GLOBAL_LIMIT", 40)
    expected = {PER_ADDRESS: 20, PER_NETWORK: 30, GLOBAL_LIMIT: 40}[bound]
    waits = await asyncio.gather(*[guess(still, f"user {n}", addresses.format(n)) for n in range(60)])
    assert waits.count(0) == len(checked) == expected


async def test_an_address_inside_ipv6_and_the_same_outside_are_one(still: Service) -> None:
    for number in range(PER_ADDRESS):
        await guess(still, f"user {number}", "::ffff:192.0.2.1" if number % 2 else "192.0.2.1")
    assert await guess(still, "another", "192.0.2.1") > 800
    assert await guess(still, "another", "192.0.2.2") == 0


@pytest.mark.slow
async def test_who_is_at_home_is_locked_out_by_nobody_nearby(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the same address, its network or everybody."""
    monkeypatch.setattr("service.tokens.accounts.login.PER_NETWORK", 25)
    monkeypatch.setattr("service.tokens.accounts.login.GLOBAL_LIMIT", 40)
    for address in ("198.51.100.1", "2001:db8::1"):
        await sign_in(still, "vera", address)
    await asyncio.gather(*[guess(still, f"user {number}", "198.51.100.1") for number in range(30)])
    await asyncio.gather(*[guess(still, "vera", f"198.51.100.{number}") for number in range(2, 60)])
    await asyncio.gather(*[guess(still, f"user {number}", f"203.{number}.113.9") for number in range(60)])
    assert await guess(still, "uma", "192.0.2.200") > 800
    # Privacy extensions give a host another address of its network every day.
    for address in ("198.51.100.1", "2001:db8::1", "2001:db8::2"):
        assert await outcome(still, await sign_in(still, "vera", address)) == "active"


async def test_a_right_password_forgives_no_wrong_ones(still: Service) -> None:
    """Whoever shares an address with a program that signs in all day gets five guesses, not five a sign-in."""
    await sign_in(still, "vera")
    looked = 0
    for _ in range(4):
        looked += sum([await guess(still, "vera") == 0 for _ in range(3)])
        try:
            await sign_in(still, "vera")
        except Throttled:
            break
    assert looked == PER_ACCOUNT


async def test_what_is_typed_as_a_name_reaches_redis_as_a_digest_alone(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await make_service(background=False, wrap=Recording)
    typed = (await create(service)).secret
    await sign_in(service, "vera")
    link = service.stores.shards[0].link
    link.asked.clear()
    for _ in range(PER_ACCOUNT + 1):
        await guess(service, typed)
    sent = b"\n".join(
        str(part).encode() if not isinstance(part, bytes) else part for args in link.asked for part in args
    )
    assert typed[4:20].encode() not in sent
    assert base64.urlsafe_b64encode(typed.encode())[:20] not in sent
    assert set(await actions(service)) == {"token.created", "session.created", "login.failed", "login.throttled"}
    assert not [key for key in await all_keys(service) if base64.urlsafe_b64encode(b"vera").rstrip(b"=") in key]


@pytest.mark.slow
async def test_what_an_address_is_refused_is_told_once_a_minute(faked: Service, turn_time: TurnTime) -> None:
    """Nobody washes his guesses out of the log by asking on."""
    for minute in range(1, 4):
        for number in range(10):
            await guess(faked, f"user {number % 2}", "2001:db8::1")
            turn_time(1)
            await guess(faked, f"user {number % 2}", f"2001:db8::{number}")
        await faked.rules.audit.refusals.tell()
        assert Counter(await actions(faked)) == {"login.failed": 10, "login.throttled": 2 * minute}
        told = max((entry for entry in await audit(faked) if entry.after), key=lambda entry: entry.at)
        assert told.after is not None
        assert (told.after["count"], told.after["last"] - told.after["first"]) == ((9, 4) if minute == 1 else (19, 9))
        turn_time(50)
    await faked.rules.audit.refusals.tell()
    assert len(await actions(faked)) == 16


async def test_a_flood_from_everywhere_leaves_few_entries_and_what_redis_did_not_take_is_told_later(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, origins = still.rules.audit.refusals, [at(f"2001:db8:{number:x}::1") for number in range(7000)]
    for origin in origins:
        await refusals.add(origin, "vera")
    with monkeypatch.context() as patch:
        patch.setattr(still.rules.audit.log, "write", AsyncMock(side_effect=StoreUnavailable("away")))
        with pytest.raises(StoreUnavailable):
            await refusals.tell()
    await refusals.add(origins[-1], "vera")
    await refusals.tell()
    entries = await audit(still)
    assert len(entries) == MOST_ADDRESSES + 2
    [others] = [entry for entry in entries if entry.after]
    assert (others.target, others.address, others.request_id) == ("others", "", "")
    assert others.after is not None
    assert others.after["count"] == 7000 - MOST_ADDRESSES


async def test_the_audit_log_names_accounts_and_tells_other_names_apart(still: Service) -> None:
    for name in ("VERA ", "somebody", "some body", "else"):
        await guess(still, name)
    targets = Counter(entry.target for entry in await audit(still))
    assert targets.pop("vera") == 1
    assert sorted(targets.values()) == [1, 2]
    assert all(target.startswith("unknown:") for target in targets)
