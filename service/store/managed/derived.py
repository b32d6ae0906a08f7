"""Derived tokens in Redis: each is a sealed credential in the shard of its parent token, without a record.

Every token has a set of the credentials that are derived from it, directly or not. The scripts that end a token delete
these, too: `deactivate_tokens`, `revoke_tokens`, `rotate_or_update_token` and `drop_credential`.
"""

from typing import NamedTuple

from service.model import Credential
from service.store.audit import Entry
from service.store.credentials import Reason
from service.store.driver.keys import DIGEST_BYTES, Keys
from service.store.driver.many_tokens import ManyTokens
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.managed.records import Retention

# Most children of one token at a time; and most tokens that may end with one token, some 5 ms of Redis' time.
MOST_CHILDREN = 1000
MOST_BELOW = 5000


class Derived(NamedTuple):
    """A derived token's stored credential."""

    digest: bytes
    sealed: bytes


class DerivedStore:
    """Derives, lists and drops tokens. Expired ones vanish by their TTL."""

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        self._retention = retention
        self._many = ManyTokens(shards)
        self._derive = Script("derive_token")
        self._drop = Script("drop_credential", retry=True)

    def shard_of(self, digest: bytes) -> Shard:
        """The shard of a credential and of all that is derived from it."""
        return self._shards.of_digest(digest)

    async def derive(self, parent: bytes, seal: bytes, credential: Credential, derived: Derived, entry: Entry) -> int:
        """Record a derived token: 1 done, 2 this digest was recorded before, 0 the parent's credential is gone or has
        another seal, -1 there are too many. One round trip.
        """
        shard = self._shards.of_digest(parent)
        keys = shard.keys
        done: int = await self._derive.run(
            shard.link,
            (
                keys.credential(parent),
                keys.credential(derived.digest),
                keys.reason(derived.digest),
                keys.metadata(credential.token_id),
                keys.occurrences,
                # The parent first: in the parent's set the script counts a child, in the others a further descendant.
                *map(keys.derived, reversed(credential.ancestors)),
            ),
            seal,
            derived.sealed,
            # A reason without a credential means that the token was ended. The reason vanishes at the token's expiry.
            Reason("revoked", credential.token_id).text,
            credential.expires_at,
            0 if credential.pool else credential.max_uses,
            MOST_CHILDREN,
            MOST_BELOW,
            *entry,
        )
        return done

    async def drop(
        self, digest: bytes, token_id: str, *, owner: str, ended_at: int, ancestors: tuple[str, ...], entry: Entry
    ) -> bool:
        """Remove a credential that no record names, and all that is derived from it; False if there is none.

        `ancestors`: the ids of the tokens that it is derived from. Works on a full server.
        """
        shard = self._shards.of_digest(digest)
        keys = shard.keys
        dropped: int = await self._drop.run(
            shard.removals,
            (
                keys.credential(digest),
                keys.reason(digest),
                keys.metadata(token_id),
                *keys.lists,
                keys.owner(owner),
                keys.imported,
                # A holder may derive and end tokens at will, and must not push changes out of the log by that.
                keys.occurrences if ancestors else keys.changes,
                *map(keys.derived, (token_id, *ancestors)),
            ),
            token_id,
            self._retention.reason_until(ended_at),
            *entry,
        )
        return dropped == 1

    async def confirm_ended(self, parent_id: str) -> None:
        """Have earlier removals below a token confirmed as the settings ask; see `Removals.confirm`."""
        if (shard := self._shards.of_id(parent_id)) is not None:
            await shard.removals.confirm()

    async def children(self, parent_id: str) -> list[Derived]:
        """The credentials that are derived from a token directly. Two round trips."""
        # From 0, because further descendants have a negative score.
        return await self._read(parent_id, 0)

    async def below(self, token_id: str, most: int) -> list[Derived]:
        """At most `most` of the credentials that are derived from a token, directly or not. Two round trips."""
        return await self._read(token_id, "-inf", "LIMIT", 0, most)

    async def _read(self, token_id: str, least: int | str, *limit: int | str) -> list[Derived]:
        shard = self._shards.of_id(token_id)
        if shard is None:
            return []
        found: list[bytes] = await shard.link.execute(
            "ZRANGEBYSCORE", shard.keys.derived(token_id), least, "+inf", *limit, retry=True
        )
        if not found:
            return []
        sealed = await shard.link.execute("MGET", *found, retry=True)
        pairs = zip(found, sealed, strict=True)
        return [Derived(key[-DIGEST_BYTES:], record) for key, record in pairs if record is not None]

    async def count(self, token_ids: list[str], now: int) -> list[int]:
        """How many unexpired tokens are derived directly from each token. One round trip."""
        return await self._many.count(token_ids, Keys.derived, f"({now}", "+inf")
