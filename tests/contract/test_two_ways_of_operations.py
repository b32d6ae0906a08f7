"""Operations that have two ways, too: the same bytes, counts and log lines of both."""

import asyncio
import itertools
import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.api.admin.schemas.cursors import write_cursor
from service.model import RateLimit
from service.store.managed.query import Query
from service.tokens.managed.tokens import NewToken
from tests.builders import ADMIN
from tests.contract.test_two_ways import (
    VARYING_FACTS,
    Ways,
    counts,
    exchange,
    request,
    ways,  # noqa: F401 - a fixture
)

FORM = "Content-Type: application/x-www-form-urlencoded"
JSON = "Content-Type: application/json"
# Of tokens that are issued once for each way, and what is a second less where one passed between the two.
FRESH = re.compile(rb"[0-9a-f]{16,64}|\*-[0-9a-f]{8}|new \d{6}|\d\d:\d\d:\d\d|retry-after: \d+")
# As many digits in each, because an answer tells its length.
NAMES = (f"new {number:06}" for number in itertools.count())


def posted(path: str, body: str, *fields: str) -> bytes:
    return request(f"POST {path} HTTP/1.1", *fields, f"Content-Length: {len(body)}") + body.encode()


async def client(ways: Ways, **terms: Any) -> str:  # noqa: F811
    """The secret of a token that may introspect, which is made once and known from then on."""
    name = f"asker {sorted(terms)}"
    if name not in ways.secrets:
        new = NewToken(name, int(ways.service.clock()) + 600, scopes=("introspect",), **terms)
        ways.secrets[name] = (await ways.service.rules.managed.tokens.create(new, ADMIN)).secret
    return ways.secrets[name]


async def introspections(ways: Ways) -> list[bytes]:  # noqa: F811
    """By clients that may and may not, about tokens of every kind, in forms as clients write and garble them."""
    asker, plain = await client(ways), ways.secrets["plain"]
    await client(ways, networks=("10.0.0.0/8",))
    await client(ways, rate_limits=(RateLimit(limit=1000, period_seconds=60),))
    good = f"Authorization: Bearer {asker}"
    path, form = "/oauth2/introspect", f"token={plain}"
    clients = [f"Bearer {secret}" for secret in ways.secrets.values()]
    bodies = ("", "token", "token=", f"{form}&token={plain}", f"{form}&x=1", f"{form}&token_type_hint=access_token")
    return [
        *[posted(path, f"token={secret}", good, FORM) for secret in ways.secrets.values()],
        *[posted(path, form, f"Authorization: {client}", FORM) for client in clients],
        *[posted(path, body, good, FORM) for body in (*bodies, f"token=%72{plain[1:]}", "token=%FF", "x" * 5000)],
        *[posted(path, form, good, f"Content-Type: {kind}") for kind in ("text/plain", f"{FORM[14:]}; charset=utf-8")],
        posted(path, form, good),
        posted(path, form, FORM),
        posted(path, form, f"Authorization: bearer  {asker} ", FORM, "X-Request-Id: mine"),
        posted(path, form, f"Authorization: Basic {asker}", FORM),
        posted(path, form, good, good, FORM),
        posted(path, form, good, FORM, "Connection: close"),
        posted(path + "?x=1", form, good, FORM),
        posted(path, form, f"X-Token: {asker}", FORM),
        request(f"GET {path} HTTP/1.1", good),
        request(f"POST {path} HTTP/1.1", good, FORM),
    ]


async def spendings(ways: Ways) -> list[bytes]:  # noqa: F811
    """Of one fresh token for each way to write it, and of what is none."""
    path = "/api/one-time-tokens/consume"

    async def fresh(**more: Any) -> str:
        issued = await ways.service.rules.one_time.issue(address="192.0.2.1", anonymous=False, **more)
        return f'{{"token":"{issued.secret}"}}'

    once = await fresh()
    odd = ('{"token": "a"}', '{"token":1}', "{}", "", "[", f'{once[:-1]},"x":1}}', f'{{"token":"{"0" * 32}"}}')
    return [
        posted(path, await fresh(), JSON),
        posted(path, await fresh(subject="team-7", data='{"a":1}'), JSON),
        posted(path, (await fresh()).replace(":", " :\n "), JSON),
        posted(path, await fresh()),
        posted(path, await fresh(), "Content-Type: application/json; charset=utf-8"),
        posted(path, await fresh(), JSON, "Idempotency-Key: k"),
        posted(path, once, JSON, "X-Request-Id: mine"),
        posted(path, once, JSON),
        posted(path, await fresh(), "Content-Type: text/plain"),
        *[posted(path, body, JSON) for body in odd],
        *[posted(path, f'{{"token":"{secret}"}}', JSON) for name, secret in ways.secrets.items() if name != "one-time"],
    ]


async def generations(ways: Ways) -> list[bytes]:  # noqa: F811
    """Of the PHP generator, by everybody."""
    path = "/api-v1/fastertokengenerator.php"
    credentials = [f"Authorization: Bearer {secret}" for secret in ways.secrets.values()]
    targets = (path, path + "?x=1", path + "/", "/api-v12/fastertokengenerator.php", "/api-v/fastertokengenerator.php")
    return [
        *[request(f"{method} {target} HTTP/1.1") for target in targets for method in ("GET", "HEAD", "POST")],
        *[request(f"GET {path} HTTP/1.1", field) for field in (*credentials, "Cookie: a=b", "X-Token: x", "Accept: a")],
    ]


async def changes(ways: Ways) -> list[bytes]:  # noqa: F811
    """Of fresh tokens by everybody, and of what is none, as clients write and garble it."""
    managed = ways.service.rules.managed.tokens
    path, expires_at = "/api/admin/tokens", int(ways.service.clock()) + 86400
    good = f"Authorization: Bearer {ways.secrets['session']}"
    terms = NewToken(next(NAMES), expires_at, scopes=("tokens:write", "one-time:issue"))
    ways.secrets["writer"] = (await managed.create(terms, ADMIN)).secret
    limit = RateLimit(limit=2, period_seconds=3600)
    limited = msgspec.structs.replace(terms, name=next(NAMES), rate_limits=(limit,))
    ways.secrets["limited"] = (await managed.create(limited, ADMIN)).secret
    callers = [f"Authorization: Bearer {secret}" for secret in ways.secrets.values()]
    odd = ("", "[", '{"name":1,"duration":"7days"}', '{"name":"","duration":"7days"}', '{"name":"a"}', "x" * 5000)

    def made() -> str:
        return f'{{"name":"{next(NAMES)}","duration":"7days"}}'

    async def fresh() -> str:
        return (await managed.create(NewToken(next(NAMES), expires_at), ADMIN)).token.token_id

    async def off() -> str:
        return f'{{"id":"{await fresh()}","isActive":false}}'

    def ended(query: str, *fields: str) -> bytes:
        return request(f"DELETE {path}{query} HTTP/1.1", *fields)

    def changed(body: str, *fields: str) -> bytes:
        return posted(path, body, *fields).replace(b"POST", b"PATCH", 1)

    again, gone = made(), await fresh()
    issue = "/api/one-time-tokens"
    return [
        posted(path, made(), good, JSON),
        changed(await off(), good, JSON),
        ended(f"?id={await fresh()}", good),
        posted(issue, "", good),
        *[posted(path, made(), caller, JSON) for caller in callers],
        *[changed(await off(), caller, JSON) for caller in callers],
        *[ended(f"?id={await fresh()}", caller) for caller in callers],
        *[posted(issue, '{"ttlSeconds":60}', caller, JSON) for caller in callers],
        *[posted(path, body, good, JSON) for body in odd],
        *[changed(body, good, JSON) for body in (*odd, '{"id":"0000000000000000","isActive":false}')],
        *[
            posted(path, again, good, JSON, *more)
            for more in ((), (), (f"Idempotency-Key: {next(NAMES)}",), ("Idempotency-Key:",))
        ],
        *[
            posted(path, made(), good, f"Content-Type: {kind}")
            for kind in ("text/plain", f"{JSON[14:]}; charset=utf-8")
        ],
        *[posted(path + query, made(), good, JSON) for query in ("?x=1", "?", "/", "#x", "?%69d=1")],
        *[ended(f"?id={gone}", good, "X-Request-Id: mine") for _ in range(2)],
        *[
            ended(query, good)
            for query in ("", "?id=", "?id=a&ids=b", f"?ids={await fresh()},{gone}", "?id=0&id=1", "?%69d=0")
        ],
        ended(f"?id={await fresh()}", good, "X-Requested-With: tokens-cli", "Connection: close"),
        ended(f"?id={await fresh()}", good, good),
        ended(f"?id={await fresh()}", "Cookie: session=x"),
        ended(f"?id={await fresh()}", f"X-Token: {ways.secrets['session']}"),
        changed(await off(), f"authorization: bearer  {ways.secrets['session']} "),
    ]


async def pages(ways: Ways) -> list[bytes]:  # noqa: F811
    """Of the two newest tokens, made once and never used, asked for by everybody in the ways that lists are."""
    path, managed = "/api/admin/tokens", ways.service.rules.managed
    for name, scope in (("reader", "tokens:read"), ("newest but one", "a"), ("newest", "b")):
        if name not in ways.secrets:
            new = NewToken(name, int(ways.service.clock()) + 600, scopes=(scope,))
            ways.secrets[name] = (await managed.tokens.create(new, ADMIN)).secret
    first, after, _ = await managed.queries.page(Query(limit=1))
    cursor = write_cursor(after, "-createdAt")
    good = f"Authorization: Bearer {ways.secrets['session']}"

    def listed(query: str, *fields: str) -> bytes:
        return request(f"GET {path}{query} HTTP/1.1", *fields)

    one = "?limit=1"
    odd = ("?limit=0", "?limit=x", "?limit=1&limit=1", "?cursor=abc", "?status=odd", "?x=1", "?", "?limit=1&", "?&")
    searched = ("q=newest", "createdBy=admin", "sort=-createdAt", f"ids={first[0].token_id}", "status=active%2Cexpired")
    return [
        listed(one, good),
        listed(f"{one}&cursor={cursor}", good),
        listed(f"?status=active,inactive&limit=1&cursor={cursor}", good, "X-Request-Id: mine"),
        *[listed(one, f"Authorization: Bearer {secret}") for secret in ways.secrets.values()],
        *[listed(query, good) for query in odd],
        *[listed(f"{one}&{query}", good) for query in searched],
        listed("?status=revoked", good, "X-Requested-With: tokens-cli", "Connection: close"),
        listed(f"?parent={first[0].token_id}", good),
        listed(one, good, good),
        listed(one, f"X-Token: {ways.secrets['session']}"),
        listed(one),
        listed(one, f"authorization: bearer  {ways.secrets['session']} "),
        listed(one, good, "Content-Length: 2") + b"{}",
        request(f"HEAD {path}{one} HTTP/1.1", good),
        request(f"GET {path}/{one} HTTP/1.1", good),
    ]


async def long_pages(ways: Ways) -> list[bytes]:  # noqa: F811
    """Of so much that it is sent in pieces."""
    if "long 0" not in ways.secrets:
        for number in range(30):
            long = NewToken(f"long {number}", int(ways.service.clock()) + 600, metadata={"a": 5000 * "x"})
            ways.secrets[long.name] = (await ways.service.rules.managed.tokens.create(long, ADMIN)).secret
    good = f"Authorization: Bearer {ways.secrets['session']}"
    fields = ((), ("X-Request-Id: mine",), ("Connection: close",))
    return [
        request(f"{method} /api/admin/tokens?limit=30 HTTP/1.1", good, *more)
        for method in ("GET", "HEAD")
        for more in fields
    ]


@pytest.mark.parametrize("asked", [introspections, spendings, generations, changes, pages, long_pages])
async def test_an_operation_says_counts_and_logs_the_same_on_both_ways(
    ways: Ways,  # noqa: F811
    asked: Callable[[Ways], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "service.requests")
    answers, counted, told = [], [], []
    for port, requests in [(port, await asked(ways)) for port in ways[:2]]:
        caplog.clear()
        before = await counts(ways)
        answers.append([FRESH.sub(b"~", await exchange(port, [sent], 1)) for sent in requests])
        counted.append([f"{name} {value - before.get(name, 0)}" for name, value in (await counts(ways)).items()])
        records = [record.facts for record in caplog.records if record.name == "service.requests"]  # type: ignore[attr-defined]
        # Since the request began, not since the machine did; nothing here takes that long.
        assert all(0 <= facts["seconds"] < 60 for facts in records)
        # Of tokens that are issued once for each way: is one named at all?
        named = [facts | {"token_id": "token_id" in facts} for facts in records]
        told.append([{name: fact for name, fact in facts.items() if name not in VARYING_FACTS} for facts in named])
    assert answers[0] == answers[1]
    assert counted[0] == counted[1]
    assert told[0] == told[1]
    assert sum(answer.startswith(b"HTTP/1.1 20") for answer in answers[0]) > 5


async def test_the_usual_request_never_reaches_the_ordinary_way(
    ways: Ways,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = [(await introspections(ways))[0], (await spendings(ways))[0], (await generations(ways))[0]]
    usual += [*(await changes(ways))[:4], *(await pages(ways))[:3]]
    monkeypatch.setattr(ways.service.application, "call", None)
    # Whoever is known from one reading is not read again.
    monkeypatch.setattr(ways.service.rules.authority, "verify", None)
    got = [await exchange(ways.fast_path, [sent], 1) for sent in usual]
    assert [answer[9:12] for answer in got] == [b"200"] * 3 + [b"201", b"200", b"200", b"201"] + [b"200"] * 3
    said = (b'"active":true', b'"valid":true', b"success", b"created", b"deactivated", b"revoked", b"one_time")
    said += (b'"nextCursor":"',) * 3
    assert all(word in answer for word, answer in zip(said, got, strict=True))


async def test_a_body_may_come_in_pieces_and_requests_one_after_another(ways: Ways) -> None:  # noqa: F811
    sent = (await introspections(ways))[0]
    whole = await exchange(ways.ordinary, [sent], 1)
    assert b'"active":true' in whole
    end = sent.index(b"\r\n\r\n") + 4
    for at in (end - 2, end, end + 1, len(sent) - 1):
        assert await exchange(ways.fast_path, [sent[:at], sent[at:]], 1) == whole
    pipeline = b"".join((sent, request("GET /livez HTTP/1.1"), sent, sent, request("GET /validate HTTP/1.1")))
    fast_path, ordinary = await asyncio.gather(
        exchange(ways.fast_path, [pipeline], 5), exchange(ways.ordinary, [pipeline], 5)
    )
    assert fast_path == ordinary
