"""What tests start from: tokens, signed-in users, and looks at what Redis holds."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import Conflict, InvalidRequest, NotFound
from service.model import Kind, ManagedToken, Origin, Outcome
from service.tokens.audit.entries import AuditEntry
from service.tokens.managed.tokens import Created, NewToken
from tests.conftest import PASSWORD

ADMIN = Origin(actor="admin", address="192.0.2.1", channel="api", request_id="r1")
DAY = 86400
ADDRESS = "192.0.2.7"
DEADLINE = 60.0


def month_day() -> int:
    """One that is a week away at least, so that no month which begins on it ends while a test runs."""
    return 15 if not 8 <= time.gmtime().tm_mday <= 22 else 1


def at(address: str) -> Origin:
    """Somebody unknown at this address."""
    return Origin(actor="anonymous", address=address, channel="api", request_id="r1")


async def update(service: Service, token: ManagedToken, **changes: Any) -> ManagedToken:
    return await service.rules.managed.tokens.update(token.token_id, changes, ADMIN)


async def refused(service: Service, token: ManagedToken, **changes: Any) -> str:
    """The code of a change that is refused."""
    with pytest.raises((Conflict, NotFound, InvalidRequest)) as caught:
        await update(service, token, **changes)
    return str(caught.value.code)


async def create(
    service: Service, name: str = "ci", *, days: float = 30, origin: Origin = ADMIN, **more: Any
) -> Created:
    """A managed token; `days` 0 for one that never expires."""
    expires_at = int(service.clock() + days * DAY) if days else 0
    return await service.rules.managed.tokens.create(NewToken(name, expires_at, **more), origin)


async def create_many(service: Service, *names: str, **more: Any) -> list[Created]:
    """Tokens one after the other, so that their creation has an order."""
    return [await create(service, name, **more) for name in names]


async def sign_in(service: Service, username: str = "admin", address: str = ADDRESS, password: str = PASSWORD) -> bytes:
    """A session's secret."""
    return (await service.rules.sessions.sign_in(username, password, at(address))).secret.encode()


async def outcome(service: Service, secret: bytes | str, **more: Any) -> Outcome:
    """What a gateway's question about this secret comes to."""
    asked = secret.encode() if isinstance(secret, str) else secret
    return (await service.rules.authority.verify(asked, (Kind.SESSION, Kind.MANAGED), **more)).outcome


async def peeked(service: Service, secret: str) -> Outcome:
    """The same of one that spends and counts nothing, and is told why a managed token is refused."""
    return (await service.rules.authority.peek(secret.encode(), (Kind.MANAGED,))).outcome


async def works(service: Service, *secrets: str) -> list[bool]:
    """Is each accepted?"""
    return [await outcome(service, secret) is Outcome.ACTIVE for secret in secrets]


async def audit(service: Service) -> list[AuditEntry]:
    """The audit log, oldest first within each stream of a shard."""
    entries = []
    for stream in service.stores.audit.streams:
        for _, fields in await stream.link.execute("XRANGE", stream.entries, "-", "+"):
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            entries.append(msgspec.json.decode(pairs[b"e"], type=AuditEntry))
    return entries


async def actions(service: Service, target: str | None = None) -> list[str]:
    """What the audit log says was done, to one target or at all."""
    return [entry.action for entry in await audit(service) if target is None or entry.target == target]


async def all_keys(service: Service) -> set[bytes]:
    """Every key of the test's namespace."""
    found, cursor = set(), b"0"
    while True:
        cursor, keys = await service.stores.shards[0].link.execute(
            "SCAN", cursor, "MATCH", f"{service.settings.namespace}:*", "COUNT", 1000
        )
        found |= set(keys)
        if cursor == b"0":
            return found


async def dump(service: Service) -> dict[bytes, Any]:
    """Every key with what it holds, to see that nothing was changed."""
    link = service.stores.shards[0].link
    read = {
        b"string": ("GET",),
        b"hash": ("HGETALL",),
        b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
        b"stream": ("XRANGE", "-", "+"),
        b"set": ("SMEMBERS",),
    }
    held = {}
    for key in await all_keys(service):
        command, *rest = read[await link.execute("TYPE", key)]
        held[key] = await link.execute(command, key, *rest)
    return held


async def until(condition: Callable[[], object]) -> None:
    """Ask again and again, giving way in between, until it holds."""
    deadline = time.monotonic() + DEADLINE
    while True:
        holds = condition()
        if await holds if asyncio.iscoroutine(holds) else holds:
            return
        assert time.monotonic() < deadline, "it never came to hold"
        await asyncio.sleep(0.005)
