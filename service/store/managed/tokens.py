"""Managed tokens in Redis: created, read and changed, each change together with its indexes and its audit entry."""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import msgspec

from service.errors import StoreUnavailable
from service.model import ManagedToken
from service.store.audit import Entry
from service.store.batch_size import BatchSize
from service.store.credentials import Reason
from service.store.driver.keys import Keys
from service.store.driver.many_tokens import Ahead, ManyTokens, by_group
from service.store.driver.replies import Argument, Reply
from service.store.driver.scripts import LETTERS, Script
from service.store.driver.shards import Shard, Shards
from service.store.managed import records
from service.store.managed.names import Names, freed_member, member, name_prefix
from service.store.managed.query import Condition
from service.store.managed.records import Record, Retention
from service.store.managed.search import Blocks, name_row
from service.store.pacing import share_turn

# How many records are read at once.
_MOST = 250


class Change(msgspec.Struct, frozen=True):
    """A token to rewrite: `old` as it was read, `new` with the `seal` of its record, and the audit entry.

    `sealed` is the sealed credential of the new digest, empty for a token that stays inactive; `predecessor` that of
    the previous secret in its overlap, empty to end that secret.
    """

    old: ManagedToken
    new: ManagedToken
    seal: str
    sealed: bytes
    predecessor: bytes
    entry: Entry


class End(NamedTuple):
    """A token to deactivate or revoke: as it was read, as it is `ended`, the `seal` of that, and the audit entry."""

    token: ManagedToken
    ended: ManagedToken
    seal: str
    entry: Entry


class ManagedStore:
    """All keys of a managed token are in the shard in which it was created: the first two hex digits of its id."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        self._retention = retention
        self.names = Names(shards)
        self._many = ManyTokens(shards)
        self._blocks = Blocks(len(shards))
        self._read = partial(self._many.read_whole, key_of=Keys.metadata)
        self.ahead = partial(self._many.begin, key_of=Keys.metadata)
        self._decoded = records.Remembered(records.decode)
        self.batch = BatchSize(_MOST, first=_MOST)
        # Without `retry`: repeated after a lost reply they would find what the first attempt wrote, and refuse.
        self._create = Script("create_token")
        self._update = Script("rotate_or_update_token")
        self._deactivate = Script("deactivate_tokens", retry=True)
        self._revoke = Script("revoke_tokens", retry=True)

    async def create(self, token: ManagedToken, *, seal: str, sealed: bytes, entry: Entry) -> bool:
        """Record a token in the shard of its name, all or nothing; False if the name is taken or the id is known.

        One round trip; more if a reservation of the name turns out to be void.
        """
        shard = self._shards.of_name(token.name)
        names, token_id, prefix = shard.keys, token.token_id, name_prefix(token.name)
        keys = (
            *names.credential_and_reason(token.digest),
            names.metadata(token_id),
            names.on,
            names.expiry,
            names.names,
            names.owner(token.created_by),
            self._blocks.key(shard, token_id),
            names.changes,
        )
        reason_until = self._retention.reason_until(token.expires_at)
        while True:
            reply: Reply = await self._create.run(
                shard.link,
                keys,
                token_id,
                prefix,
                prefix + token_id.encode(),
                name_row(token),
                token.created_micros,
                token.expires_at,
                sealed,
                reason_until if self._retention.is_told(token, token.created_at) else "",
                *entry,
                *records.encode(token, seal=seal),
            )
            if reply == 1:
                return True
            if reply == token_id.encode() or not await self.names.free_if_void(token.name, reply):
                return False

    async def get(self, token_id: str, ahead: Ahead | None = None) -> Record | None:
        """The record of an id, None if there is none. No round trip if it was read `ahead` and has arrived."""
        row: Sequence[bytes] | None = ahead.take(token_id) if ahead else None
        if row is None:
            (row,) = await self._many.read_whole([token_id], Keys.metadata)
        # Not cached: a client that changes one token after the other would push out the pages that are read again.
        return records.decode(token_id, row)

    async def get_many(self, token_ids: Sequence[str]) -> list[Record | None]:
        """Records in the order of the ids, in one round trip; in more if they are long."""
        return await self.batch.made_of(token_ids, self._read, records.decode)

    async def get_again(self, token_ids: Sequence[str]) -> list[Record | None]:
        """The same for a page, which is read again and again: records that have not changed are not decoded again."""
        return await self.batch.made_of(token_ids, self._read, self._decoded.of)

    async def matching(self, token_ids: Sequence[str], wanted: Sequence[Condition]) -> list[bool]:
        """Which records may meet these conditions. The caller has to read these records and to check them exactly."""
        names = list(dict.fromkeys([one.field for one in wanted]))
        rows = await self._many.fields(token_ids, Keys.metadata, [LETTERS[name].encode() for name in names])
        met = [True] * len(rows)
        for one in wanted:
            place, is_met = names.index(one.field), one.may_be_met
            met = [so_far and is_met(row[place]) for so_far, row in zip(met, rows, strict=True)]
        return met

    async def excerpts(self, token_ids: list[str], names: tuple[str, ...]) -> list[ManagedToken | None]:
        """Only these fields of the records, in the order of the ids, for reading many.

        One round trip; another one if a value is written in pieces.
        """
        excerpt = records.Excerpt(names)
        rows = await self._many.fields(token_ids, Keys.metadata, excerpt.fields)
        in_pieces = [token_id for token_id, row in zip(token_ids, rows, strict=True) if excerpt.is_cut(row)]
        whole = dict(zip(in_pieces, await self.get_many(in_pieces), strict=True)) if in_pieces else {}
        return [
            record.token if (record := whole.get(token_id)) else excerpt.read(token_id, row)
            for token_id, row in zip(token_ids, rows, strict=True)
        ]

    async def update(self, changes: Sequence[Change], now: int) -> list[bool]:
        """Rewrite tokens, those of a shard in one call; False for each one that changed since `old` was read.

        Digests of `old` that `new` does not have end. With them, or if the terms change, all that is derived from the
        token ends, too. A new name must have been reserved.
        """

        async def update_in(shard: Shard, some: list[Change]) -> list[int]:
            fixed = (*shard.keys.lists, shard.keys.changes, shard.keys.none)
            keys = (*fixed, *chain.from_iterable([self._change_keys(shard, one, now) for one in some]))
            args = chain.from_iterable([self._change_args(one, now) for one in some])
            # Sent as a removal, because a change may end a secret or narrow what the token may do.
            written: list[int] = await self._update.run(shard.removals, keys, some[0].entry.keep, *args)
            return written

        await share_turn()
        written = await by_group(changes, lambda one: self._shard(one.old.token_id), update_in)
        for one, done in zip(changes, written, strict=True):
            if done and one.old.name != one.new.name:
                # Only if it is void: the token may have been renamed back since.
                await self.names.free_if_void(one.old.name, one.old.token_id.encode())
        return [done == 1 for done in written]

    def _change_keys(self, shard: Shard, change: Change, now: int) -> tuple[bytes, ...]:
        old, new = change.old, change.new
        return (
            *_credential_keys(shard, old, new),
            shard.keys.metadata(old.token_id),
            self._blocks.key(shard, old.token_id),
            # Derived tokens end if the terms that bounded them change. Nothing is derived from the empty id.
            shard.keys.derived(old.token_id if records.ends_derived(old, new, now) else ""),
        )

    def _change_args(self, change: Change, now: int) -> tuple[Argument, ...]:
        old, new, retention = change.old, change.new, self._retention
        fields = records.encode_changes(old, new, seal=change.seal)
        rows = (b"", b"") if _row_of(old) == _row_of(new) else (name_row(old), name_row(new))
        return (
            old.token_id,
            old.version,
            old.contests,
            new.created_micros,
            new.expires_at,
            change.sealed,
            Reason.of(new).text if retention.is_told(new, now) else "",
            retention.reason_goes(new),
            change.predecessor,
            new.predecessor_until * 1000,
            # A secret that ends by this change has no date, and with 0 its reason would stay forever.
            retention.reason_until(max(new.predecessor_until, now)),
            *rows,
            change.entry.body,
            change.entry.seal,
            len(fields),
            *fields,
        )

    async def end(self, ends: Sequence[End], now: int, *, insist: bool = False) -> list[int]:
        """Deactivate all or revoke all, with everything derived from them, in one call to each shard.

        For each: 1 done, 0 it was already, -1 changed since it was read, -2 gone. With `insist` only a rotation counts
        as a change, and a record that did change has no seal then. Works on a full server.
        """
        revokes = partial(self._revoke_in, purge_at=now + self._retention.seconds, insist=insist)
        await share_turn()
        end_in = revokes if ends and ends[0].ended.revoked_at else self._deactivate_in
        return await by_group(ends, lambda one: self._shard(one.token.token_id), end_in)

    async def _deactivate_in(self, shard: Shard, ends: list[End]) -> list[int]:
        names = shard.keys
        each, told = zip(*[self._ending(names, one) for one in ends], strict=True)
        lists = names.on, names.off, names.dead, names.expiry, names.last_uses
        keys = (*lists, names.changes, *chain.from_iterable(each))
        keep = ends[0].entry.keep
        done: list[int] = await self._deactivate.run(shard.removals, keys, keep, *chain.from_iterable(told))
        return done

    async def _revoke_in(self, shard: Shard, ends: list[End], *, purge_at: int, insist: bool) -> list[int]:
        each, told = zip(*[self._ending(shard.keys, one) for one in ends], strict=True)
        keys = (*shard.keys.lists, shard.keys.names, shard.keys.changes, *chain.from_iterable(each))
        args = [(*words, member(one.token), freed_member(one.token)) for one, words in zip(ends, told, strict=True)]
        fixed = ends[0].ended.revoked_at, purge_at, ends[0].entry.keep, int(insist)
        done: list[int] = await self._revoke.run(shard.removals, keys, *fixed, *chain.from_iterable(args))
        # Even for tokens that were revoked before: an earlier attempt may have been cut off here.
        revoked = [one.token for one, reply in zip(ends, done, strict=True) if reply >= 0]
        elsewhere = [token for token in revoked if self._shards.of_name(token.name) is not shard]
        if elsewhere:
            await asyncio.gather(*map(self.names.free, elsewhere))
        return done

    def _ending(self, names: Keys, one: End) -> tuple[tuple[bytes, ...], tuple[Argument, ...]]:
        """The keys and arguments of a token that ends. Without a previous secret its own key is given twice."""
        token, ended, seal, entry = one
        token_id, digest = token.token_id, token.digest
        credential, reason = names.credential_and_reason(digest)
        older = names.credential(token.predecessor) if token.predecessor else credential
        keys = credential, older, reason, names.metadata(token_id), names.derived(token_id)
        goes = self._retention.reason_goes(ended)
        sealed = bytes.fromhex(seal)
        return keys, (token_id, digest, token.version, Reason.of(ended).text, goes, sealed, entry.body, entry.seal)

    async def confirm_changed(self, token_id: str) -> None:
        """Have earlier changes confirmed as the settings ask; see `Removals.confirm`."""
        await self._shard(token_id).removals.confirm()

    async def was_issued(self, token_id: str, digest: bytes) -> bool:
        """True if this digest was ever that of the token's secret, until its reason vanishes after the retention."""
        shard = self._shard(token_id)
        keys = shard.keys.credential(digest), shard.keys.reason(digest)
        found: int = await shard.link.execute("EXISTS", *keys, retry=True)
        return found > 0

    def _shard(self, token_id: str) -> Shard:
        shard = self._shards.of_id(token_id)
        if shard is None:
            raise StoreUnavailable("A record names a shard that this namespace does not have.")
        return shard


# The fields that a token's row in its block of names is made of, except the id and the creation.
_row_of = attrgetter("name", "last_eight")


def _credential_keys(shard: Shard, old: ManagedToken, new: ManagedToken) -> list[bytes]:
    """The credential and the reason of the new digest, of the previous secret in its overlap, and of one that ends.

    If one of these is missing, the new digest's keys take its place: the script removes before it writes.
    """
    kept = [digest for digest in (new.digest, new.predecessor) if digest]
    ended = [digest for digest in (old.digest, old.predecessor) if digest and digest not in kept]
    digests = (*kept, *ended, new.digest, new.digest)[:3]
    return [key for digest in digests for key in (shard.keys.credential(digest), shard.keys.reason(digest))]
