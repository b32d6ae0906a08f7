"""Tokens that were made elsewhere: recorded in the state they have there."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import NamedTuple

from service.model import ManagedToken, Status
from service.store.audit import Entry
from service.store.credentials import Reason
from service.store.driver.replies import Reply
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.managed import records
from service.store.managed.names import freed_member, member
from service.store.managed.search import Blocks, name_row
from service.store.managed.tokens import ManagedStore, Retention

_ANNOUNCED_MILLISECONDS = 60_000


class Refused(StrEnum):
    """Why a token was not taken in."""

    EXISTS = "exists"
    SECRET_TAKEN = "secret_taken"  # noqa: S105 - a word of the API
    NAME_TAKEN = "name_taken"


class Incoming(NamedTuple):
    """A token to take in: its record and seal, the sealed credentials of its secrets, and its audit entry.

    A credential is empty where there is none: the token is not active, or has no predecessor in grace.
    """

    token: ManagedToken
    seal: str
    credential: bytes
    predecessor: bytes
    entry: Entry


class ImportStore:
    """Takes tokens in, each in the shard that its id and its digest name."""

    def __init__(self, shards: Shards, retention: Retention, tokens: ManagedStore) -> None:
        self._shards = shards
        self._retention = retention
        self._blocks = Blocks(len(shards))
        self._tokens = tokens
        self._import = Script("import_token")
        self._announce = Script("announce_token", retry=True)

    async def put(self, incoming: Incoming, now: int) -> Refused | None:
        """Record a token; None if that was done.

        One round trip if its name lives in its own shard, else three and a half: a name is reserved in the name's
        shard, after the token's own shard has been told, because a reservation without a token is void.
        """
        token = incoming.token
        home = self._home(token)
        if token.revoked_at:
            return await self._put_revoked(home, incoming, now)
        if self._shards.of_name(token.name) is home:
            return await self._put_at_home(home, incoming, now)
        return await self._put_abroad(home, incoming, now)

    async def _put_at_home(self, home: Shard, incoming: Incoming, now: int) -> Refused | None:
        token = incoming.token
        name = token.name.encode() + b"\x00"
        reply = await self._record(home, incoming, now, name=name, names_member=member(token))
        if isinstance(reply, bytes):
            # Somebody holds the name; a reservation that is void makes way for ours.
            if not await self._tokens.names.reserve(token):
                return Refused.NAME_TAKEN
            reply = await self._record(home, incoming, now, name=name, names_member=member(token))
        return _refusal(reply)

    async def _put_abroad(self, home: Shard, incoming: Incoming, now: int) -> Refused | None:
        token = incoming.token
        metadata = home.keys.metadata(token.token_id)
        if not await self._announce.run(home.link, (metadata,), token.name, _ANNOUNCED_MILLISECONDS):
            return Refused.EXISTS
        if not await self._tokens.names.reserve(token):
            return Refused.NAME_TAKEN
        reply = await self._record(home, incoming, now)
        if reply != 1:
            await self._tokens.names.release(token)
        return _refusal(reply)

    async def _put_revoked(self, home: Shard, incoming: Incoming, now: int) -> Refused | None:
        """A revoked token holds no name, and is found by it all the same."""
        names = self._shards.of_name(incoming.token.name)
        freed = freed_member(incoming.token)
        reply = await self._record(home, incoming, now, names_member=freed if names is home else b"")
        if reply in (1, -1) and names is not home:
            # Also where the id is known: an earlier try may have come this far.
            await names.link.execute("ZADD", names.keys.names, 0, freed, retry=True)
        return _refusal(reply)

    async def _record(
        self, home: Shard, incoming: Incoming, now: int, *, name: bytes = b"", names_member: bytes = b""
    ) -> Reply:
        token, keys = incoming.token, home.keys
        digest = records.decode_digest(token.digest)
        older = records.decode_digest(token.predecessor) if incoming.predecessor else digest
        state = self._state(home, token, now)
        fields = records.encode(token, seal=incoming.seal)
        return await self._import.run(
            home.link,
            (
                keys.credential(digest),
                keys.reason(digest),
                keys.credential(older),
                keys.reason(older),
                keys.metadata(token.token_id),
                state.listed,
                state.timers,
                keys.names,
                keys.owner(token.created_by),
                keys.imported,
                keys.last_uses,
                keys.name_blocks,
                keys.changes,
            ),
            token.token_id,
            name,
            names_member,
            token.created_micros,
            state.place,
            state.time,
            incoming.credential,
            token.expires_at * 1000,
            Reason.of(token).text if self._retention.is_told(token, now) else "",
            self._retention.reason_goes(token),
            incoming.predecessor,
            token.predecessor_until * 1000,
            self._retention.reason_until(token.predecessor_until),
            int(token.imported),
            token.last_used_at,
            self._blocks.of(token.token_id),
            name_row(token),
            *incoming.entry,
            *fields,
        )

    def _state(self, home: Shard, token: ManagedToken, now: int) -> _State:
        """Where a token of this status stands, and what tells of it once its credential is gone."""
        keys, created, expires = home.keys, token.created_micros, token.expires_at
        purge = str((token.revoked_at or expires) + self._retention.seconds)
        match token.status(now):
            case Status.REVOKED:
                return _State(keys.off, keys.purge, -created, purge)
            case Status.EXPIRED:
                return _State(keys.dead, keys.purge, created, purge)
            case Status.INACTIVE:
                return _State(keys.off, keys.expiry, created, str(-expires or ""))
        return _State(keys.on, keys.expiry, created, str(expires or ""))

    def _home(self, token: ManagedToken) -> Shard:
        home = self._shards.of_id(token.token_id)
        if home is None:
            raise ValueError(f"no shard of this namespace has the token {token.token_id}")
        return home

    async def conflict(self, token: ManagedToken) -> Refused | None:
        """Why `put` would refuse this token now; changes nothing. One round trip."""
        home, names = self._home(token), self._shards.of_name(token.name)
        digest = records.decode_digest(token.digest)
        name = token.name.encode() + b"\x00"
        known, secrets, holders = await asyncio.gather(
            home.link.execute("EXISTS", home.keys.metadata(token.token_id), retry=True),
            home.link.execute("EXISTS", home.keys.credential(digest), home.keys.reason(digest), retry=True),
            names.link.execute(
                "ZRANGEBYLEX", names.keys.names, b"[" + name, b"(" + name + b"g", "LIMIT", 0, 1, retry=True
            ),
        )
        if known:
            return Refused.EXISTS
        if secrets:
            return Refused.SECRET_TAKEN
        return Refused.NAME_TAKEN if holders and not token.revoked_at else None

    async def holds_imported(self) -> bool:
        """Does this namespace hold secrets that another system made? One round trip."""
        found = await asyncio.gather(
            *[shard.link.execute("EXISTS", shard.keys.imported, retry=True) for shard in self._shards]
        )
        return any(found)


class _State(NamedTuple):
    listed: bytes
    timers: bytes
    place: int
    time: str


def _refusal(reply: Reply) -> Refused | None:
    if reply == 1:
        return None
    if isinstance(reply, bytes):
        return Refused.NAME_TAKEN
    return Refused.EXISTS if reply == -1 else Refused.SECRET_TAKEN
