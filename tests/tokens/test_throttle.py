"""Brakes on guessing passwords: per account, per address, and never against whoever signed in from there before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.errors import RateLimited
from service.tokens.passwords import PasswordChecker, hash_password, look_alike
from service.tokens.sessions import InvalidCredentials, normalise
from tests.builders import ADDRESS, actions, at, create, outcome, sign_in, until
from tests.conftest import PASSWORD

pytestmark = pytest.mark.anyio


async def guess(service: Service, username: str = "vera", address: str = ADDRESS) -> int:
    """A wrong password: the seconds to wait, 0 where it was looked at."""
    try:
        await service.sessions.sign_in(username, "wrong", at(address))
    except InvalidCredentials:
        return 0
    except RateLimited as refused:
        return refused.retry_after
    raise AssertionError("a wrong password was right")


@pytest.fixture
def looked_at(still: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every password that was checked against a hash."""
    checked: list[str] = []
    matches = still.passwords.matches

    async def counted(password_hash: str, password: str) -> bool:
        checked.append(password)
        return await matches(password_hash, password)

    monkeypatch.setattr(still.passwords, "matches", counted)
    return checked


async def test_five_wrong_passwords_for_an_account_are_looked_at_from_wherever_they_come(
    still: Service, looked_at: list[str]
) -> None:
    waits = await asyncio.gather(*[guess(still, address=f"192.0.2.{number}") for number in range(60)])
    assert waits.count(0) == len(looked_at) == 5
    assert all(800 < wait <= 900 for wait in waits if wait)
    assert sorted(await actions(still)) == ["login.failed"] * 5 + ["login.throttled"] * 55


async def test_twenty_wrong_passwords_of_an_address_are_looked_at_for_whatever_account(
    still: Service, looked_at: list[str]
) -> None:
    waits = await asyncio.gather(*[guess(still, username=f"user {number}") for number in range(60)])
    assert waits.count(0) == len(looked_at) == 20
    assert await guess(still, "vera", "192.0.2.200") == 0


async def test_an_account_that_does_not_exist_is_throttled_like_one_that_does(still: Service) -> None:
    for username in ("vera", "nobody"):
        answers = []
        for number in range(7):
            try:
                await still.sessions.sign_in(username, "wrong", at(f"192.0.2.{number}"))
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
    "vera", "Vera", "VERA", " vera", "vera ", "v e r a", "ve\u200bra", "ve\u200dra", "\ufeffvera", "vera\x00", "ve\tra",
    "ｖｅｒａ", "ⓥera", "𝐯era", "ve\u00adra", "vera\r\n", "\u2003vera", "ve\u2060ra",
]  # fmt: skip


def test_variants_of_a_name_are_one_name() -> None:
    assert {normalise(variant) for variant in VARIANTS} == {"vera"}
    assert len({normalise(name) for name in ("vera", "wera", "véra", "vera2", "ver")}) == 5


async def test_variants_of_a_name_share_one_count(still: Service, looked_at: list[str]) -> None:
    for number, variant in enumerate(VARIANTS):
        await guess(still, variant, f"192.0.2.{number}")
    assert len(looked_at) == 5


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
        await still.sessions.check_password("uma", PASSWORD, at("192.0.2.99"))
    assert await guess(still, "vera") == 0
    assert await guess(still, "uma", "192.0.2.99") == 0


async def test_after_a_quarter_of_an_hour_one_may_try_again(
    make_service: Callable[..., Any], turn_time: Callable[[float], None]
) -> None:
    service = await make_service(fake=True)
    for _ in range(5):
        await guess(service)
    wait = await guess(service)
    turn_time(wait - 1)
    assert await guess(service) == 1
    turn_time(1.5)
    assert await guess(service) == 0
    assert await outcome(service, await sign_in(service, "vera")) == "active"


async def test_checks_wait_in_a_bounded_queue_two_at_once_and_the_loop_goes_on(
    make_service: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await make_service(background=False)
    created = await create(service)
    running, go_on = [], threading.Event()

    def verify(password_hash: str, password: str) -> bool:
        running.append(password)
        return go_on.wait(20)

    monkeypatch.setattr("service.tokens.passwords._verify", verify)
    checks = [asyncio.create_task(service.passwords.matches("hash", f"{number}")) for number in range(40)]
    assert await outcome(service, created.secret) == "active"
    assert [type(check.exception()) for check in checks if check.done()] == [RateLimited] * 6
    await until(lambda: len(running) == 2)
    go_on.set()
    assert [answer for answer in await asyncio.gather(*checks, return_exceptions=True) if answer is True] == [True] * 34
    assert await service.passwords.matches("hash", "one more")


async def test_what_no_hash_is_matches_nothing(still: Service) -> None:
    for broken in ("", "$argon2id$", "$argon2id$v=19$m=64,t=1,p=1$x$y", "plain"):
        assert not await still.passwords.matches(broken, "plain")


def test_a_look_alike_costs_what_the_real_one_does_and_matches_nothing() -> None:
    real = hash_password("x")
    for given, shape in (
        (real, real),
        (None, real),
        ("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", "m=64,t=1,p=1"),
    ):
        alike = look_alike(given)
        assert alike.split("$")[3] in shape
        assert alike != look_alike(given)


async def test_a_closed_checker_checks_no_more() -> None:
    checker = PasswordChecker()
    await checker.aclose()
    with pytest.raises(RuntimeError):
        await checker.matches("$argon2id$", "x")
