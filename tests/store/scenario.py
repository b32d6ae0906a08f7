"""One run through everything the store does, for tests that look at each script on its way."""

from typing import Any

import msgspec
import pytest

from service.app import Service
from service.model import RateLimit
from service.store.managed.query import Query
from service.store.managed.records import Retention
from service.store.managed.tokens import ManagedStore
from service.store.usage import Use
from service.tokens.accounts.login import InvalidCredentials
from service.tokens.idempotency import Repeatable
from service.tokens.managed.derivation import Narrowed
from service.tokens.managed.tokens import NewToken
from tests.builders import ADMIN, DAY, at, create, outcome, sign_in

COVERED = {
    "consume_token",
    "count_attempt",
    "create_session",
    "create_token",
    "derive_token",
    "end_session",
    "expire_tokens",
    "issue_one_time",
    "purge_token",
    "put_hours_away",
    "record_usage",
    "replace_holder",
    "reserve_attempt",
    "reserve_name",
    "reserve_request",
    "seal_events",
    "tell_expiries",
    "rotate_or_update_token",
    "validate_limited",
    "void_reservation",
    "deactivate_tokens",
    "revoke_tokens",
}


async def live_through(service: Service) -> None:
    """Every script in COVERED runs at least once. The service lets tokens live for ever."""
    limited = await create(service, "limited", rate_limits=(RateLimit(5, 60),), max_uses=3)
    assert await outcome(service, limited.secret) == "active"
    await service.rules.usage.flush()
    used = Use(limited.token.token_id, limited.token.digest, allowed=1)
    await service.stores.usage.add([used], int(service.clock()) + 3600)
    await service.rules.managed.tokens.create(NewToken("repeated", 0), ADMIN, Repeatable("key", b"words"))
    await service.rules.managed.derivation.derive(limited.secret.encode(), Narrowed(60), ADMIN)
    old_name = await create(service, "old name")
    await service.rules.managed.tokens.update(old_name.token.token_id, {"name": "new name"}, ADMIN)
    await cut_off_a_renaming(service, old_name.token.token_id)
    await create(service, "reserved only")
    await service.rules.managed.tokens.update(limited.token.token_id, {"active": False}, ADMIN)
    await service.rules.managed.tokens.revoke(limited.token.token_id, ADMIN)
    issued = await service.rules.one_time.issue(address="192.0.2.1", anonymous=True)
    assert (await service.rules.one_time.consume(issued.secret.encode())).active
    session = await sign_in(service)
    with pytest.raises(InvalidCredentials):
        await sign_in(service, password="wrong")
    assert await service.rules.sessions.end(session, at("192.0.2.1"))
    await service.rules.managed.queries.page(Query(sort="last_used_at"))
    await list_as_due(service, old_name.token.token_id)
    assert await service.rules.managed.sweeper.sweep() == 1
    await service.rules.audit.checkpoints.seal()


async def list_as_due(service: Service, token_id: str) -> None:
    """Let the next sweep take a token for expired: it goes by the clock of Redis, which no test turns."""
    shard = service.stores.shards.of_id(token_id)
    assert shard is not None
    await shard.link.execute("ZADD", shard.keys.expiry, 1, token_id)


async def cut_off_a_renaming(service: Any, token_id: str) -> None:
    """A process dies between the reservation of a name and the change that takes it."""
    store = ManagedStore(service.stores.shards, Retention(30 * DAY))
    token = await service.rules.managed.tokens.get(token_id)
    assert await store.names.reserve(msgspec.structs.replace(token, name="reserved only"))
