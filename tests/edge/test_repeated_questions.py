"""The same question again and again, on one connection: what it was found to mean counts no longer than it is true."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from random import Random

import pytest

from service.app import Service
from service.model import RateLimit
from service.tokens.managed.import_admission import ImportedSecret, last_eight_of
from service.tokens.managed.tokens import NewToken
from tests.builders import ADDRESS, at, create, sign_in
from tests.conftest import Clock
from tests.edge.asking import PATIENCE_SECONDS

VARIES = re.compile(rb"date: [^\r]+|x-request-id: [^\r]+|ratelimit: [^\r]+|retry-after: [^\r]+|content-length: \d+")


class Gateway:
    """One that keeps its connection and numbers its requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.asked = 0

    async def asks(
        self, secret: bytes | str, *more: str, path: str = "/validate", is_numbered: bool = True
    ) -> tuple[int, bytes]:
        """The status, and the head of the answer, which is that to this very request if it is numbered."""
        self.asked += 1
        text = secret if isinstance(secret, str) else secret.decode()
        request_id = [f"X-Request-Id: r-{self.asked}"] if is_numbered else []
        presented = [f"Authorization: Bearer {text}"] if text else []
        lines = [f"GET {path} HTTP/1.1", "Host: a.test", *request_id, *presented, *more, "", ""]
        self._writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self._reader.readuntil(b"\r\n\r\n")
            await self._reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))
        assert (f"x-request-id: r-{self.asked}\r\n".encode() in head) is is_numbered
        return int(head[9:12]), head

    async def is_told(self, secret: bytes | str, *more: str, path: str = "/validate") -> list[int]:
        """The statuses of three requests: the first is read, the second remembered, the third known."""
        return [(await self.asks(secret, *more, path=path))[0] for _ in range(3)]


@asynccontextmanager
async def connected(port: int, address: str = "127.0.0.1") -> AsyncIterator[Gateway]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    yield Gateway(reader, writer)
    writer.close()


@pytest.fixture
async def gateway(port: int) -> AsyncIterator[Gateway]:
    async with connected(port) as made:
        yield made


async def test_a_token_ends_with_its_revocation(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a")
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    await service.rules.managed.tokens.revoke(made.token.token_id, at(ADDRESS))
    assert await gateway.is_told(made.secret) == [401, 401, 401]


async def test_a_token_ends_by_its_date_though_redis_has_it_still(
    service: Service, gateway: Gateway, clock: Clock
) -> None:
    made = await create(service, "a", days=0.5)
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    clock.forward(43201)
    assert await gateway.is_told(made.secret) == [401, 401, 401]


async def test_a_limit_set_for_a_subject_holds_for_the_next_request(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a", subject="s")
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    await service.rules.subject_limits.set("s", (RateLimit(2, 3600),), at(ADDRESS))
    assert await gateway.is_told(made.secret) == [200, 200, 429]


async def test_a_request_without_a_scope_says_nothing_of_one_with_it(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a", scopes=("x",))
    assert await gateway.is_told(made.secret, path="/validate?required_scope=x") == [200, 200, 200]
    assert await gateway.is_told(made.secret, path="/validate?required_scope=y") == [403, 403, 403]
    assert await gateway.is_told(made.secret, "X-Required-Scope: y") == [403, 403, 403]
    assert await gateway.is_told(made.secret) == [200, 200, 200]


async def test_a_scope_that_was_taken_away_is_missing_whatever_else_was_asked_for_meanwhile(
    service: Service, gateway: Gateway
) -> None:
    made = await create(service, "a", scopes=("x",))
    asks_x, asks_y = ("/validate?required_scope=" + scope for scope in "xy")
    assert await gateway.is_told(made.secret, path=asks_x) == [200, 200, 200]
    await service.rules.managed.tokens.update(made.token.token_id, {"scopes": ("z",)}, at(ADDRESS))
    assert await gateway.is_told(made.secret, path=asks_y) == [403, 403, 403]
    assert await gateway.is_told(made.secret, path=asks_x) == [403, 403, 403]


async def test_a_record_is_not_remembered_beside_more_tokens_than_are_seen_in_a_second(
    service: Service, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.edge.fast_path._MOST_SEEN", 3)
    secrets = [(await create(service, name)).secret for name in "abcde"]
    before = service.rules.authority.open.cache_info().currsize
    for secret in secrets:
        assert await gateway.is_told(secret) == [200, 200, 200]
    assert service.rules.authority.open.cache_info().currsize == before + 2
    # The first ones and the last: what comes in turn would have none left otherwise when its turn comes again.
    assert [*service.fast_path.seen] == [secret.encode() for secret in (*secrets[:2], secrets[4])]


@pytest.mark.parametrize("path", ["/validate", "/validate?required_scope=orders:read"])
async def test_a_record_is_known_beyond_the_second_and_its_secret_is_not(
    service: Service, gateway: Gateway, path: str
) -> None:
    made, authority = await create(service, "a", scopes=("orders:read",)), service.rules.authority
    assert await gateway.is_told(made.secret, path=path) == [200, 200, 200]
    service.fast_path.forget()
    authority.open.cache_clear()
    assert not service.fast_path.seen
    assert await gateway.is_told(made.secret, path=path) == [200, 200, 200]
    assert authority.open.cache_info().currsize == 0
    service.fast_path.forget()
    await service.rules.managed.tokens.revoke(made.token.token_id, at(ADDRESS))
    assert await gateway.is_told(made.secret, path=path) == [401, 401, 401]


async def test_a_token_that_has_a_limit_since_is_charged_at_once_from_the_second_request_on(
    service: Service, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(service, "a")
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    await service.rules.managed.tokens.update(made.token.token_id, {"rate_limits": (RateLimit(3, 3600),)}, at(ADDRESS))
    assert (await gateway.asks(made.secret))[0] == 200
    # It was read before it was charged, in a task.
    monkeypatch.delattr("service.edge.protocol.EdgeProtocol.run_task")
    assert await gateway.is_told(made.secret) == [200, 200, 429]


async def test_a_secret_that_is_long_is_found_and_not_held(
    service: Service, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.edge.fast_path._LONGEST_SEEN", 67)
    made = await create(service, "a")
    assert await gateway.is_told(made.secret) == [200, 200, 200]
    assert not service.fast_path.seen


async def test_each_proxy_and_client_has_its_own_address(service: Service, port: int) -> None:
    made = await create(service, "a", networks=("203.0.113.0/24",))
    near, far = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.9"
    async with connected(port) as proxy, connected(port, "127.0.0.2") as stranger:
        assert await proxy.is_told(made.secret, near) == [200, 200, 200]
        assert await proxy.is_told(made.secret, far) == [403, 403, 403]
        assert await proxy.is_told(made.secret) == [403, 403, 403]
        assert await stranger.is_told(made.secret, near) == [403, 403, 403]


async def test_each_use_is_counted_for_the_address_it_came_from(
    service: Service, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, counted = await create(service, "a"), list[str]()
    monkeypatch.setattr(service.fast_path, "count_allowed", lambda *use: counted.append(use[2]))
    clients = ["192.0.2.1", "192.0.2.2", "2001:db8::3", "192.0.2.1, 192.0.2.4", "192.0.2.5"]
    for client in clients:
        assert (await gateway.asks(made.secret, f"X-Forwarded-For: {client}"))[0] == 200
    assert (await gateway.asks(made.secret))[0] == 200
    assert counted == ["192.0.2.1", "192.0.2.2", "2001:db8::3", "192.0.2.4", "192.0.2.5", "127.0.0.1"]


async def test_a_session_ends_with_the_password_it_was_begun_with(service: Service, gateway: Gateway) -> None:
    secret = await sign_in(service, "uma")
    assert await gateway.is_told(secret) == [200, 200, 200]
    service.rules.accounts.known.replace({})
    assert await gateway.is_told(secret) == [401, 401, 401]


async def test_each_one_time_token_is_spent_by_its_own_request(service: Service, gateway: Gateway) -> None:
    issued = [await service.rules.one_time.issue(address=ADDRESS, anonymous=False) for _ in range(4)]
    first, second, third, fourth = (one.secret for one in issued)

    async def told(secret: str, *more: str, path: str = "/validate/one-time") -> int:
        return (await gateway.asks("", f"X-Token: {secret}", *more, path=path))[0]

    assert [await told(secret) for secret in (first, second, third)] == [200, 200, 200]
    assert [await told(secret) for secret in (first, second, third)] == [401, 401, 401]
    # Of two it is not known which one counts, and where another kind is asked for none does.
    assert await told(fourth, "X-API-Key: another") == 401
    assert await told(fourth, "X-Original-URI: /?token=another") == 401
    assert await told(fourth, path="/validate") == 401
    assert await told(fourth[:-1]) == 401
    assert await told(fourth) == 200


async def test_a_one_time_token_beside_a_token_that_is_known_is_none(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a")
    beside = (await service.rules.one_time.issue(address=ADDRESS, anonymous=False)).secret
    for secret in ("0" * 32, beside, beside):
        # What is said once in this head is no part of the next, in which it is no one-time token.
        assert (await gateway.asks("", f"X-Token: {secret}", path="/validate/one-time"))[0] in (200, 401)
        assert (await gateway.asks(made.secret, f"X-Token: {secret}"))[0] == 401
        assert (await gateway.asks(made.secret))[0] == 200


async def test_what_was_malformed_is_good_as_soon_as_it_is_taken_in(service: Service, gateway: Gateway) -> None:
    secret = "5f0c2a60-8d52-4b7e-9c55-0d6a2f0f1b2c"
    assert await gateway.is_told(secret) == [401, 401, 401]
    terms = NewToken("a", int(service.clock()) + 9999)
    row = ImportedSecret(terms, sha256(secret.encode()).digest(), last_eight=last_eight_of(secret))
    await service.rules.managed.imports.take([row], at(ADDRESS), None)
    assert await gateway.is_told(secret) == [200, 200, 200]


async def test_of_secrets_with_the_form_of_one_time_tokens_each_is_another_where_they_are_tokens(
    service: Service, gateway: Gateway
) -> None:
    taken, stranger = "0123456789abcdef" * 2, "f" * 32
    terms = NewToken("a", int(service.clock()) + 9999)
    row = ImportedSecret(terms, sha256(taken.encode()).digest(), last_eight=last_eight_of(taken))
    await service.rules.managed.imports.take([row], at(ADDRESS), None)
    for secret, status in ((taken, 200), (taken, 200), (stranger, 401), (taken, 200)):
        assert (await gateway.asks("", f"X-Token: {secret}"))[0] == status


async def test_a_gateways_head_is_known_beside_whatever_secret_it_passes_on(
    service: Service, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question is asked on the ordinary way, too, which a cost leads to and which knows no head."""
    monkeypatch.setattr("service.edge.fast_path._MOST_SEEN", 5)
    made = [await create(service, f"t{number}", scopes=("x",)[:number]) for number in range(2)]
    near, gone = await create(service, "near", networks=("203.0.113.0/24",)), await create(service, "gone")
    shared, limited = (
        await create(service, "s", subject="s"),
        await create(service, "l", rate_limits=(RateLimit(1, 86400),)),
    )
    await service.rules.managed.tokens.revoke(gone.token.token_id, at(ADDRESS))
    assert [(await gateway.asks(limited.secret))[0] for _ in range(2)] == [200, 429]
    session, mistyped = (await sign_in(service, "uma")).decode(), made[0].secret[:-1] + "x"
    spent = (await service.rules.one_time.issue(address=ADDRESS, anonymous=False)).secret
    secrets = [one.secret for one in (*made, near, gone, shared, limited)]
    secrets += [session, mistyped, made[0].secret[:-8] + "0" * 8, spent, "s" * 64, "short"]
    written = [
        ["Authorization: Bearer {}"],
        ["authorization: Bearer {}"],
        ["Authorization: bearer  {}"],
        ["X-API-Key: {}"],
        ["X-Token: {}"],
        ["X-API-Key: {}", "Authorization: Bearer {}"],
        [f"X-API-Key: {secrets[0]}", "Authorization: Bearer {}"],
        ["Authorization: Bearer {}", f"X-Token: {secrets[-1]}"],
        ["Authorization: Basic YTpi", "X-Token: {}"],
    ]
    paths = ["/validate", "/validate?required_scope=x", "/validate/envoy/a"]
    chosen, statuses = Random(5), set[int]()
    for _ in range(400):
        # Mostly as before, but for the secret: so a head becomes known.
        if not chosen.randrange(4) or not statuses:
            path, fields = chosen.choice(paths), chosen.choice(written)
        if not chosen.randrange(50):
            service.fast_path.forget()
        secret = chosen.choice(secrets)
        # Without either nothing is said once but the secret.
        is_beside = chosen.randrange(2) == 0
        more = [field.format(secret) for field in fields]
        more += [f"X-Forwarded-For: 203.0.{chosen.choice([113, 114])}.1"] * is_beside
        (status, told), (_, right) = [
            await gateway.asks("", *more, *cost, path=path, is_numbered=is_beside) for cost in ([], ["X-Token-Cost: 1"])
        ]
        assert VARIES.sub(b"", told) == VARIES.sub(b"", right), (path, more)
        statuses.add(status)
    assert statuses == {200, 401, 403, 429}
    assert len(service.fast_path.seen) <= 5


async def test_a_secret_beside_another_is_none_though_both_were_the_same_before(
    service: Service, gateway: Gateway
) -> None:
    same, other = [(await create(service, name)).secret for name in "ab"]
    told = [(await gateway.asks(secret, f"X-API-Key: {same}"))[0] for secret in [same] * 3 + [other] * 3]
    assert told == [200] * 3 + [401] * 3


async def test_a_scope_that_one_gateway_asks_for_is_asked_for_by_no_other(service: Service, gateway: Gateway) -> None:
    made = await create(service, "a", scopes=("x",))
    paths = ["/validate?required_scope=x", "/validate?required_scope=y", "/validate"]
    asked = [(await gateway.asks(made.secret, path=path))[0] for path in paths * 4]
    assert asked == [200, 403, 200] * 4


async def test_of_two_addresses_that_clients_ask_for_each_has_its_own_token(service: Service, gateway: Gateway) -> None:
    issued = [await service.rules.one_time.issue(address=ADDRESS, anonymous=False) for _ in range(3)]
    for status in (200, 401):
        for one in issued:
            asked = await gateway.asks("", f"X-Original-URI: /?token={one.secret}", path="/validate/one-time")
            assert asked[0] == status
