"""Sessions in Redis. A user is known here by a digest alone: what is typed as a name may be anything."""

import asyncio
from collections.abc import AsyncIterator

from service.store.audit import Entry
from service.store.driver.keys import DIGEST_BYTES
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards

_PAGE = 500


class SessionStore:
    """All sessions of a user live in the shard of the user's digest."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        # Without `retry`: asked again after a lost reply it would write another audit entry.
        self._create = Script("create_session")
        self._end = Script("end_session", retry=True)
        self._renew = Script("renew_generation")

    async def generation(self, user: bytes) -> bytes:
        """How often a user was logged out everywhere, to be read before the password is checked."""
        shard = self._shards.of_digest(user)
        counted: bytes | None = await shard.link.execute("GET", shard.keys.user_generation(user), retry=True)
        # As create_session.lua reads a user who was never logged out everywhere.
        return counted or b"0"

    async def create(
        self,
        user: bytes,
        digest: bytes,
        sealed: bytes,
        *,
        expires_at: int,
        ends_at: int,
        generation: bytes,
        entry: Entry,
    ) -> bool:
        """Record a session; False if the user was logged out everywhere since `generation` was read.

        It ends at `ends_at` unless its use puts that off, and at `expires_at` in any case.
        """
        shard = self._shards.of_digest(user)
        keys = (
            shard.keys.credential(digest),
            shard.keys.user_sessions(user),
            shard.keys.session_index,
            shard.keys.user_generation(user),
            shard.keys.session_users,
            shard.keys.occurrences,
        )
        created: int = await self._create.run(
            shard.link, keys, sealed, digest, user, expires_at, generation, ends_at, *entry
        )
        return created == 1

    async def end(self, user: bytes, digest: bytes, entry: Entry) -> bool:
        """End one session; False if it was over already."""
        shard = self._shards.of_digest(user)
        return await self._end_members(user, [digest], shard.keys.occurrences, entry) == 1

    async def in_slices(self, user: bytes) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """The same of all of a user's sessions, those that end last first; some may be ended between two slices."""
        shard = self._shards.of_digest(user)
        index = shard.keys.user_sessions(user)
        left: int = await shard.link.execute("ZCARD", index, retry=True)
        while left > 0:
            # From the end: where a session is taken out, those before it keep their places.
            start, left = max(0, left - _PAGE), left - _PAGE
            members = await shard.link.execute("ZRANGE", index, start, start + _PAGE - 1, retry=True)
            yield await self._with_records(shard, members[::-1])

    async def listed(self, user: bytes | None, now: int, count: int) -> list[tuple[bytes, bytes]]:
        """Digests and sealed records of sessions of one user or of all, at most `count` of each shard.

        Of more, those that end last. Two round trips.
        """
        shards = self._shards if user is None else [self._shards.of_digest(user)]
        parts = [self._listed(shard, user, now, count) for shard in shards]
        return [pair for part in await asyncio.gather(*parts) for pair in part]

    async def users(self) -> list[bytes]:
        """Everybody who has sessions, by their digests."""
        asked = [shard.link.execute("ZRANGE", shard.keys.session_users, 0, -1, retry=True) for shard in self._shards]
        return [user for users in await asyncio.gather(*asked) for user in users if len(user) == DIGEST_BYTES]

    async def _listed(self, shard: Shard, user: bytes | None, now: int, count: int) -> list[tuple[bytes, bytes]]:
        index = shard.keys.session_index if user is None else shard.keys.user_sessions(user)
        ask = shard.link.execute
        found = await ask("ZREVRANGEBYSCORE", index, "+inf", f"({now}", "LIMIT", 0, count, retry=True)
        return await self._with_records(shard, found)

    async def _with_records(self, shard: Shard, found: list[bytes]) -> list[tuple[bytes, bytes]]:
        ask, prefix = shard.link.execute, shard.keys.credential_prefix
        # What has another length somebody else wrote.
        members = [member for member in found if len(member) == DIGEST_BYTES]
        records = await asyncio.gather(*[ask("GET", prefix + member, retry=True) for member in members])
        each = zip(members, records, strict=True)
        return [(member, record) for member, record in each if record is not None]

    async def confirm_gone(self, digest: bytes) -> None:
        """Have what ended here before confirmed as the settings ask; see `Removals.confirm`."""
        await self._shards.of_digest(digest).removals.confirm()

    async def end_all(self, user: bytes, entry: Entry) -> int:
        """End every session of a user, also those being created now. Two round trips for up to 500 sessions."""
        shard = self._shards.of_digest(user)
        # First: a sign-in that is under way finds another generation than it read, and records nothing.
        await self._renew.run(shard.removals, (shard.keys.user_generation(user),))
        ended = 0
        while members := await shard.link.execute("ZRANGE", shard.keys.user_sessions(user), 0, _PAGE - 1, retry=True):
            ended += await self._end_members(user, members, shard.keys.changes, entry)
        return ended

    async def _end_members(self, user: bytes, members: list[bytes], stream: bytes, entry: Entry) -> int:
        shard = self._shards.of_digest(user)
        keys = (shard.keys.user_sessions(user), shard.keys.session_index, stream)
        credentials = tuple(shard.keys.credential_prefix + member for member in members)
        ended: int = await self._end.run(shard.removals, keys + credentials, *entry, *members)
        return ended
