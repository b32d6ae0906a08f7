"""Sessions in Redis, and the counters that slow down whoever guesses passwords."""

from __future__ import annotations

from typing import NamedTuple

from service.store.audit_store import Entry
from service.store.keys import encode_digest
from service.store.scripts import Script
from service.store.shards import Shards

WINDOW_MILLISECONDS = 15 * 60 * 1000
KNOWN_MILLISECONDS = 90 * 86400 * 1000
TRIES_PER_ACCOUNT = 5
TRIES_PER_ADDRESS = 20
_PAGE = 500


class Attempt(NamedTuple):
    """A try at a password: how long to wait in milliseconds (0: go on), tries left, the user's generation."""

    wait: int
    tries_left: int
    generation: bytes


class Counters(NamedTuple):
    """The digests under which the tries of one name and one address are counted, all in the user's shard."""

    account: bytes
    known: bytes
    own: bytes


class SessionStore:
    """All sessions of a user live in the shard of the user's name."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._create = Script("create_session")
        self._end = Script("end_session", retry=True)
        self._take_attempt = Script("take_attempt")
        self._count_attempt = Script("count_attempt")

    async def count_address(self, digest: bytes, *, step: int = 1) -> int:
        """Count a try of an address: 0, or the milliseconds it must wait. `step` -1 takes a try back."""
        shard = self._shards.of_digest(digest)
        wait: int = await self._count_attempt.run(
            shard.link, (shard.keys.rate(digest),), TRIES_PER_ADDRESS, WINDOW_MILLISECONDS, step
        )
        return wait

    async def take_attempt(self, user: str, counters: Counters, *, step: int = 1) -> Attempt:
        """Count a try at an account before its password is looked at. `step` -1 takes a try back."""
        shard = self._shards.of_name(user)
        keys = (
            shard.keys.rate(counters.account),
            shard.keys.rate(counters.known),
            shard.keys.rate(counters.own),
            shard.keys.user_generation(user),
        )
        return Attempt(*await self._take_attempt.run(shard.link, keys, TRIES_PER_ACCOUNT, WINDOW_MILLISECONDS, step))

    async def create(
        self, user: str, digest: bytes, sealed: bytes, *, expires_at: int, idle_seconds: int, generation: bytes,
        counters: Counters, entry: Entry,
    ) -> bool:  # fmt: skip
        """Record a session; False if the user was logged out everywhere since `generation` was read."""
        shard = self._shards.of_name(user)
        keys = (
            shard.keys.credential(digest),
            shard.keys.user_sessions(user),
            shard.keys.session_index,
            shard.keys.user_generation(user),
            shard.keys.rate(counters.account),
            shard.keys.rate(counters.known),
            shard.keys.occurrences,
            shard.keys.rate(counters.own),
        )
        created: int = await self._create.run(
            shard.link, keys, sealed, encode_digest(digest), expires_at, generation, idle_seconds * 1000,
            KNOWN_MILLISECONDS, *entry,
        )  # fmt: skip
        return created == 1

    async def end(self, user: str, digest: bytes, entry: Entry) -> bool:
        """End one session; False if it was over already."""
        shard = self._shards.of_name(user)
        return await self._end_members(user, [encode_digest(digest)], shard.keys.occurrences, entry) == 1

    async def end_all(self, user: str, entry: Entry) -> int:
        """End every session of a user, also those being created now. Two round trips for up to 500 sessions."""
        shard = self._shards.of_name(user)
        await shard.link.execute("INCR", shard.keys.user_generation(user))
        ended = 0
        while members := await shard.link.execute("ZRANGE", shard.keys.user_sessions(user), 0, _PAGE - 1, retry=True):
            ended += await self._end_members(user, members, shard.keys.changes, entry)
        return ended

    async def _end_members(self, user: str, members: list[bytes], stream: bytes, entry: Entry) -> int:
        shard = self._shards.of_name(user)
        keys = (shard.keys.user_sessions(user), shard.keys.session_index, stream)
        credentials = tuple(shard.keys.credential_prefix + member for member in members)
        ended: int = await self._end.run(shard.link, keys + credentials, *entry, *members)
        return ended
