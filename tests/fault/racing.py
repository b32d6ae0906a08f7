"""Racers for one-time tokens, by both doors.

Those of one token stand next to each other. With interleaved tokens the same race lets a naive GET then DEL through;
`test_harness.py` shows that this one does not.
"""

import asyncio
import json

from tests.fault.volley import Reply, consume, get, post, volley


def issue(port: int, count: int) -> list[str]:
    """Fresh one-time tokens."""
    replies = known(port, [post("/api/one-time-tokens", b"{}")] * count)
    return [json.loads(reply.body)["token"] for reply in replies]


def race(port: int, tokens: int, racers: int) -> tuple[list[int], set[bytes]]:
    """How often each token was won, by both doors, and the processes that decided."""
    requests = [ask(secret, racer) for secret in issue(port, tokens) for racer in range(racers)]
    replies = known(port, requests)
    won = [0] * tokens
    for index, (request, reply) in enumerate(zip(requests, replies, strict=True)):
        won[index // racers] += admitted(request, reply)
    return won, {reply.process for reply in replies}


def ask(secret: str, racer: int) -> bytes:
    """One racer in four comes by the API, the others as gateways do; each has a key of its own to ask again with."""
    if racer % 4 == 0:
        return consume(secret, f"Idempotency-Key: racer-{racer}")
    return get("/validate/one-time", secret, f"X-Tokens-Retry-Key: racer-{racer}")


def known(port: int, requests: list[bytes]) -> list[Reply]:
    """The answers, none of which is missing or unknown."""
    replies = [reply for reply in asyncio.run(volley(port, requests)) if reply is not None]
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
