"""Tokens that were made elsewhere, recorded in the state that they have there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from enum import StrEnum
from itertools import chain

import msgspec

from service.model import STATUS_ACTIVE, STATUS_INACTIVE, STATUS_REVOKED, ManagedToken
from service.store.audit import Entry
from service.store.credentials import Reason
from service.store.driver.keys import FIRST_USE
from service.store.driver.many_tokens import by_group
from service.store.driver.replies import Argument, Reply, unavailable
from service.store.driver.scripts import LETTERS, Script
from service.store.driver.shards import Shard, Shards
from service.store.managed import records
from service.store.managed.names import ANNOUNCED_MILLISECONDS, freed_member, member, name_prefix
from service.store.managed.records import Retention
from service.store.managed.search import Blocks, name_row
from service.store.managed.tokens import ManagedStore
from service.store.pacing import paced_list, share_turn

# The reply of lua/import_tokens.lua for a row that comes too late for its announced name.
_TAKEN_BACK = -3


class Refused(StrEnum):
    """Why a token was not imported."""

    EXISTS = "exists"
    SECRET_TAKEN = "secret_taken"  # noqa: S105 - a word of the API
    NAME_TAKEN = "name_taken"


class Incoming(msgspec.Struct, frozen=True):
    """A token to import: its record and seal, the sealed credentials of its secrets, and its audit entry.

    A credential is empty if the token is not active, or has no previous secret in its overlap.
    """

    token: ManagedToken
    seal: str
    credential: bytes
    predecessor: bytes
    entry: Entry


class ImportStore:
    """Imports tokens, each into the shard of its id and its digest."""

    def __init__(self, shards: Shards, retention: Retention, tokens: ManagedStore) -> None:
        self._shards = shards
        self._retention = retention
        self._blocks = Blocks(len(shards))
        self._tokens = tokens
        # Without `retry`: `Imports` repeats by itself, and so knows what its first attempt recorded.
        self._import = Script("import_tokens")
        self._announce = Script("announce_tokens", retry=True)
        self._noted_in: bytes | None = None
        self._noted: set[str] = set()

    async def put(self, incoming: Sequence[Incoming], now: int) -> list[Refused | None]:
        """Record tokens, each whole or not at all. Returns None for each recorded token, else why it was refused.

        One round trip if their names belong to their own shard, else three: a name is reserved in the name's shard,
        after it is announced in the token's shard, because a reservation without a token is void.
        """
        await share_turn()
        rows = await paced_list(self._row(one, now) for one in incoming)
        refused: list[Refused | None] = [None] * len(rows)
        await self._note_unnoted({one.token.imported for one in incoming} - {""})
        if elsewhere := [place for place, row in enumerate(rows) if row.name_is_elsewhere]:
            for place, why in zip(elsewhere, await self._reserve([rows[place] for place in elsewhere]), strict=True):
                refused[place] = why
        wanted = [place for place, why in enumerate(refused) if why is None]
        replies = await by_group([rows[place] for place in wanted], lambda row: row.kind, self._call)
        if _TAKEN_BACK in replies:
            raise unavailable()
        for place, reply in zip(wanted, replies, strict=True):
            if reply != 1 or rows[place].freed_elsewhere:
                refused[place] = await self._settle(rows[place], reply)
        return refused

    async def _note_unnoted(self, rules: set[str]) -> None:
        """Note rules before the tokens that need them: without its rule, no lookup would find a token.

        Only once for each rule, or each slice would wait for this. After a restart or a failover the replication id has
        changed, and the rules are noted again.
        """
        place = self._shards[0].link.replication_id
        if place != self._noted_in:
            self._noted_in, self._noted = place, set()
        if new := rules - self._noted:
            await self._note(new)
            self._noted |= new

    def _note(self, rules: Iterable[str]) -> Awaitable[Reply]:
        first = self._shards[0]
        return first.link.execute("SADD", first.keys.imported_rules, *sorted(rules), retry=True)

    async def _reserve(self, rows: list[_Row]) -> list[Refused | None]:
        """Reserve names in other shards than the tokens' own."""
        homes: dict[int, list[_Row]] = {}
        for row in rows:
            homes.setdefault(row.kind.home.index, []).append(row)
        unknown = set(chain.from_iterable(await asyncio.gather(*map(self._announced, homes.values()))))
        tokens = [row.token for row in rows if row.token.token_id in unknown]
        reserved = iter(await asyncio.gather(*map(self._tokens.names.reserve, tokens)))
        return [
            Refused.EXISTS if row.token.token_id not in unknown else None if next(reserved) else Refused.NAME_TAKEN
            for row in rows
        ]

    async def _announced(self, rows: list[_Row]) -> list[str]:
        """Announce the names of these tokens in their shard. Returns the ids that are not known there yet."""
        home = rows[0].kind.home
        metadata = tuple([home.keys.metadata(row.token.token_id) for row in rows])
        told = await self._announce.run(home.link, metadata, ANNOUNCED_MILLISECONDS, *[row.token.name for row in rows])
        return [row.token.token_id for row, reply in zip(rows, told, strict=True) if reply]

    async def _call(self, kind: _Kind, rows: list[_Row]) -> list[Reply]:
        keys, owned = kind.home.keys, kind.home.keys.owner(kind.owner)
        fixed = kind.listed, kind.timers, keys.names, owned, keys.imported, keys.last_uses, keys.changes
        asked = self._import.run(
            kind.home.link,
            (*fixed, *chain.from_iterable([row.keys for row in rows])),
            kind.keep,
            int(kind.is_imported),
            *chain.from_iterable([row.args for row in rows]),
        )
        # Sent after each call, too: all data may have been deleted since, which does not change the replication id.
        noted = self._note({row.token.imported for row in rows}) if kind.is_imported else None
        try:
            replies: list[Reply] = await asked
        finally:
            if noted is not None:
                await noted
        return replies

    async def _settle(self, row: _Row, reply: Reply) -> Refused | None:
        """Do the rest after a token was recorded or refused. Returns why it was refused, None if it was not."""
        token = row.token
        if isinstance(reply, bytes):
            # Another token holds the name; a void reservation is replaced by ours.
            if not await self._tokens.names.reserve(token):
                return Refused.NAME_TAKEN
            (reply,) = await self._call(row.kind, [row])
        if row.freed_elsewhere and reply in (1, -1):
            # Even if the id is known: an earlier attempt may have stopped here.
            names = self._shards.of_name(token.name)
            await names.link.execute("ZADD", names.keys.names, 0, freed_member(token), retry=True)
        # Not if the id is known by now: another import may have recorded this token with the name.
        if row.name_is_elsewhere and reply not in (1, -1):
            await self._tokens.names.release(token)
        return _refusal(reply)

    def _row(self, incoming: Incoming, now: int) -> _Row:
        token, entry, retention = incoming.token, incoming.entry, self._retention
        home = self._home(token)
        is_at_home, is_revoked = self._shards.of_name(token.name) is home, bool(token.revoked_at)
        listed, timers, time = self._state(home, token, now)
        secret = older = home.keys.credential_and_reason(token.digest)
        if incoming.predecessor:
            older = home.keys.credential_and_reason(token.predecessor)
        # A revoked token does not hold its name, but can be found by it.
        names_member = (freed_member if is_revoked else member)(token) if is_at_home else b""
        token_id, fields = token.token_id, records.encode(token, seal=incoming.seal)
        by_id = home.keys.metadata(token_id), self._blocks.key(home, token_id), home.keys.revoked(token_id)
        return _Row(
            token,
            _Kind(home, listed, timers, token.created_by, token.imported != "", entry.keep),
            (*secret, *older, *by_id),
            (
                token_id,
                b"" if is_revoked else name_prefix(token.name if is_at_home else ""),
                names_member,
                token.created_micros,
                _place(token),
                time,
                incoming.credential,
                token.expires_at * 1000,
                Reason.of(token).text if retention.is_told(token, now) else "",
                retention.reason_goes(token),
                incoming.predecessor,
                token.predecessor_until * 1000,
                retention.reason_until(token.predecessor_until),
                token.last_used_at or "",
                name_row(token),
                entry.body,
                entry.seal,
                len(fields),
                *fields,
            ),
            name_is_elsewhere=not (is_at_home or is_revoked),
            freed_elsewhere=is_revoked and not is_at_home,
        )

    def _state(self, home: Shard, token: ManagedToken, now: int) -> tuple[bytes, bytes, str]:
        """The list of the token's status, the index of its expiry or its purge, and the score there."""
        keys, status, told_at = home.keys, token.status(now), token.expires_at or token.created_micros
        if status is STATUS_ACTIVE:
            return keys.on, keys.expiry, str(told_at)
        if status is STATUS_INACTIVE:
            return keys.off, keys.expiry, str(-told_at)
        purge = str((token.revoked_at or token.expires_at) + self._retention.seconds)
        return keys.off if status is STATUS_REVOKED else keys.dead, keys.purge, purge

    def _home(self, token: ManagedToken) -> Shard:
        home = self._shards.of_digest(token.digest)
        # Not by `of_id`: the shard of the digest is needed anyway, and the id only has to agree with it.
        if int(token.token_id[:2], 16) != home.index:
            raise ValueError(f"no shard of this namespace has the token {token.token_id}")
        return home

    async def conflict(self, token: ManagedToken) -> Refused | None:
        """Why `put` would refuse this token now; changes nothing. One round trip."""
        home = self._home(token)
        keys = home.keys
        told = *keys.credential_and_reason(token.digest), keys.revoked(token.token_id)
        known, secret_is_known, holder = await asyncio.gather(
            # By a field that the record of a token has, but not one that an import has only announced.
            home.link.execute("HEXISTS", keys.metadata(token.token_id), LETTERS["digest"], retry=True),
            home.link.execute("EXISTS", *told, retry=True),
            self._tokens.names.holder(token.name),
        )
        # The id first, because a token that is here already also has its secret and its name here.
        if known:
            return Refused.EXISTS
        if secret_is_known:
            return Refused.SECRET_TAKEN
        # The holder may be the token itself, if an import was cut off before it wrote the token.
        is_free = holder in ("", token.token_id) or token.revoked_at
        return None if is_free else Refused.NAME_TAKEN

    async def is_known(self, digest: bytes) -> bool:
        """True if there is a credential of this secret, or a reason why it is gone. One round trip."""
        home = self._shards.of_digest(digest)
        keys = home.keys.credential_and_reason(digest)
        return bool(await home.link.execute("EXISTS", *keys, retry=True))

    async def imported_rules(self) -> list[str]:
        """The rules by which secrets of other systems are found; none if there is no such secret. One round trip."""
        first = self._shards[0]
        rules, *found = await asyncio.gather(
            first.link.execute("SMEMBERS", first.keys.imported_rules, retry=True),
            *[shard.link.execute("EXISTS", shard.keys.imported, retry=True) for shard in self._shards],
        )
        # Each rule costs a lookup for every unknown secret, so without such a token no rule is used.
        return [rule.decode() for rule in rules] if any(found) else []


class _Kind(msgspec.Struct, frozen=True):
    """What the tokens of one call have in common: their shard, the sets of their state, and their creator."""

    home: Shard
    listed: bytes
    timers: bytes
    owner: str
    is_imported: bool
    keep: int


class _Row(msgspec.Struct, frozen=True):
    """A token to record in its shard: its own keys and arguments, and whether its name needs another shard."""

    token: ManagedToken
    kind: _Kind
    keys: tuple[bytes, ...]
    args: tuple[Argument, ...]
    name_is_elsewhere: bool
    freed_elsewhere: bool


def _place(token: ManagedToken) -> int:
    """The token's score in the list of its status."""
    if token.revoked_at:
        return -token.created_micros - (FIRST_USE if token.last_used_at else 0)
    return token.created_micros + (0 if token.last_used_at else FIRST_USE)


def _refusal(reply: Reply) -> Refused | None:
    if reply == 1:
        return None
    if isinstance(reply, bytes):
        return Refused.NAME_TAKEN
    return Refused.EXISTS if reply == -1 else Refused.SECRET_TAKEN
