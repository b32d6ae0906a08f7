"""A one-time token works at most once: whoever races for it, by whatever door, in however many processes.

The racers of one token stand next to each other. With interleaved tokens the same race lets a naive GET then DEL
through; `test_harness.py` shows that this one does not.
"""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from tests.fault.conftest import Site
from tests.fault.volley import Reply, consume, get, post, volley


def issue(site: Site, count: int) -> list[str]:
    """Fresh one-time tokens."""
    replies = known(site, [post("/api/one-time-tokens", b"{}")] * count)
    return [json.loads(reply.body)["token"] for reply in replies]


def race(site: Site, tokens: int, racers: int) -> tuple[list[int], set[bytes]]:
    """How often each token was won, by both doors, and the processes that decided."""
    requests = [ask(secret, racer) for secret in issue(site, tokens) for racer in range(racers)]
    replies = known(site, requests)
    won = [0] * tokens
    for index, (request, reply) in enumerate(zip(requests, replies, strict=True)):
        won[index // racers] += admitted(request, reply)
    return won, {reply.process for reply in replies}


def ask(secret: str, racer: int) -> bytes:
    """One racer in four comes by the API, the others as gateways do; each has a key of its own to ask again with."""
    if racer % 4 == 0:
        return consume(secret, f"Idempotency-Key: racer-{racer}")
    return get("/validate/one-time", secret, f"X-Tokens-Retry-Key: racer-{racer}")


def known(site: Site, requests: list[bytes]) -> list[Reply]:
    """The answers, none of which is missing or unknown."""
    replies = [reply for reply in asyncio.run(volley(site.running.port, requests)) if reply is not None]
    assert len(replies) == len(requests)
    assert not [reply for reply in replies if reply.status == 503]
    return replies


def admitted(request: bytes, reply: Reply) -> bool:
    """Was this request let in?"""
    if request.startswith(b"POST"):
        assert reply.status == 200, reply
        return bool(json.loads(reply.body)["valid"])
    assert reply.status in (200, 401), reply
    return reply.status == 200


@pytest.mark.slow
def test_of_racing_callers_exactly_one_gets_the_token_whichever_process_they_reach(four: Site) -> None:
    judges = set()
    for _ in range(2):
        won, processes = race(four, tokens=100, racers=20)
        assert won == [1] * 100
        judges |= processes
    assert len(judges) > 1, "only one process took part"


def test_of_200_callers_at_once_exactly_one_gets_the_token(four: Site) -> None:
    assert race(four, tokens=1, racers=200)[0] == [1]


@pytest.mark.slow
def test_twenty_rounds_of_10_000_racers_have_exactly_100_winners_each(four: Site) -> None:
    for _ in range(20):
        assert race(four, tokens=100, racers=100)[0] == [1] * 100


def test_scripts_that_are_forgotten_in_the_race_change_nothing(four: Site) -> None:
    over = threading.Event()

    def forget() -> None:
        while not over.wait(0.01):
            four.redis.client.script_flush()

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        assert race(four, tokens=100, racers=20)[0] == [1] * 100
    finally:
        over.set()
        thread.join()
