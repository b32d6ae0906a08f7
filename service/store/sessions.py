"""Sessions in Redis. A user is known here only by a digest, because a typed name may contain anything."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from math import ceil
from typing import NamedTuple

from service.model import Credential
from service.store.audit import Entry
from service.store.decoding import whole
from service.store.driver.keys import DIGEST_BYTES, Keys
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.pacing import give_way

# Sessions that are read, or ended, before giving way: half a millisecond of this process's time, or of Redis'.
_PAGE, _ENDED_AT_ONCE = 50, 150


class Touch(NamedTuple):
    """A use of a session: its digest and record, when it was used and when it now ends, both epoch seconds."""

    digest: bytes
    session: Credential
    used_at: int
    ends_at: int

    @property
    def score(self) -> float:
        """The session's score in the index: its end less a fraction of a second, which encodes its use for `last_use`.

        A double is precise enough to give the second for lives of up to a week, and half a minute for a year.
        """
        life = self.session.expires_at - self.session.issued_at
        left = min(max(0, self.ends_at - self.used_at), life)
        # The fraction is from one third to two thirds, so that no rounding gives a whole second, which means unused.
        return self.ends_at - (1 + left / life) / 3


def last_use(session: Credential, score: float) -> int:
    """When a session with this score in the index was last used, epoch seconds; 0 if it was not used yet."""
    part = -score % 1
    # False for nan, too, which only somebody else can have written.
    if not 0.3 < part < 0.7:
        return 0
    used_at = ceil(score) - round((3 * part - 1) * (session.expires_at - session.issued_at))
    return min(max(session.issued_at, used_at), session.expires_at)


class SessionStore:
    """All sessions of a user are in the shard of the user's digest."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        # Without `retry`: repeated after a lost reply it would write another audit entry.
        self._create = Script("create_session")
        self._end = Script("end_session", retry=True)
        self._renew = Script("renew_generation")
        self._touch = Script("touch_sessions", retry=True)

    async def generation(self, user: bytes) -> bytes:
        """How often a user was logged out everywhere; it must be read before the password is checked."""
        shard = self._shards.of_digest(user)
        counted: bytes | None = await shard.link.execute("GET", shard.keys.user_generation(user), retry=True)
        # The same default as in create_session.lua: of a user never logged out everywhere.
        return counted or b"0"

    async def create(
        self,
        user: bytes,
        digest: bytes,
        sealed: bytes,
        *,
        issued_at: int,
        expires_at: int,
        ends_at: int,
        generation: bytes,
        entry: Entry,
    ) -> bool:
        """Record a session and its user's sign-in; False if the user was logged out everywhere since `generation` was
        read.

        The session ends at `ends_at` unless its use moves that, and at `expires_at` in any case.
        """
        shard = self._shards.of_digest(user)
        keys = (
            shard.keys.credential(digest),
            shard.keys.user_sessions(user),
            shard.keys.session_index,
            shard.keys.user_generation(user),
            shard.keys.session_users,
            shard.keys.sign_ins,
            shard.keys.occurrences,
        )
        created: int = await self._create.run(
            shard.link, keys, sealed, digest, user, issued_at, expires_at, generation, ends_at, *entry
        )
        return created == 1

    async def touch(self, touches: Sequence[Touch]) -> None:
        """Move the ends of sessions, and note when they were used. A session that has ended stays ended."""
        groups: defaultdict[Shard, list[Touch]] = defaultdict(list)
        for one in touches:
            groups[self._shards.of_digest(one.digest)].append(one)
        asked = []
        for shard, group in groups.items():
            keys = (shard.keys.session_index, *shard.keys.credentials([one.digest for one in group]))
            told = [part for one in group for part in (one.ends_at, repr(one.score), one.digest)]
            asked.append(self._touch.run(shard.link, keys, *told))
        await asyncio.gather(*asked)

    async def last_uses(self, sessions: Sequence[tuple[bytes, Credential]]) -> list[int]:
        """When each of these sessions, by digest and record, was last used, epoch seconds; 0 if not yet."""
        scores = await self._of_each("ZSCORE", lambda keys: keys.session_index, [digest for digest, _ in sessions])
        each = zip(sessions, scores, strict=True)
        return [last_use(session, float(score)) if score else 0 for (_, session), score in each]

    async def last_sign_ins(self, users: Sequence[bytes]) -> list[int]:
        """When each user last signed in, epoch seconds; 0 if that is not known."""
        return [whole(at) for at in await self._of_each("HGET", lambda keys: keys.sign_ins, users)]

    async def _of_each(
        self, command: str, key: Callable[[Keys], bytes], digests: Sequence[bytes]
    ) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(digests), _PAGE):
            some = [(self._shards.of_digest(digest), digest) for digest in digests[start : start + _PAGE]]
            asked = [shard.link.execute(command, key(shard.keys), digest, retry=True) for shard, digest in some]
            found += await asyncio.gather(*asked)
            await give_way()
        return found

    async def end(self, user: bytes, digest: bytes, entry: Entry) -> bool:
        """End one session; False if it was over already."""
        shard = self._shards.of_digest(user)
        return await self._end_members(user, [digest], shard.keys.occurrences, entry) == 1

    async def in_slices(self, user: bytes) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """Digests and sealed records of a user's sessions, the last to end first; some may be ended between slices."""
        shard = self._shards.of_digest(user)
        index = shard.keys.user_sessions(user)
        left: int = await shard.link.execute("ZCARD", index, retry=True)
        while left > 0:
            # From the end: if a session is removed, those before it keep their ranks.
            start, left = max(0, left - _PAGE), left - _PAGE
            members = await shard.link.execute("ZRANGE", index, start, start + _PAGE - 1, retry=True)
            yield await _with_records([(shard, member) for member in reversed(members)])
            await give_way()

    async def listed(self, user: bytes | None, now: int, count: int) -> AsyncIterator[list[tuple[bytes, bytes]]]:
        """The same for one user or for all: at most `count` sessions of each shard, those that end last."""
        shards = self._shards if user is None else [self._shards.of_digest(user)]
        parts = await asyncio.gather(*[self._listed(shard, user, now, count) for shard in shards])
        found = [(shard, member) for shard, part in zip(shards, parts, strict=True) for member in part]
        for start in range(0, len(found), _PAGE):
            yield await _with_records(found[start : start + _PAGE])
            await give_way()

    async def users(self) -> list[bytes]:
        """The digests of all users who have sessions."""
        asked = [shard.link.execute("ZRANGE", shard.keys.session_users, 0, -1, retry=True) for shard in self._shards]
        return [user for users in await asyncio.gather(*asked) for user in users if len(user) == DIGEST_BYTES]

    async def _listed(self, shard: Shard, user: bytes | None, now: int, count: int) -> list[bytes]:
        index = shard.keys.session_index if user is None else shard.keys.user_sessions(user)
        ask = shard.link.execute
        found: list[bytes] = await ask("ZREVRANGEBYSCORE", index, "+inf", f"({now}", "LIMIT", 0, count, retry=True)
        return found

    async def confirm_gone(self, digest: bytes) -> None:
        """Have earlier removals confirmed as the settings ask; see `Removals.confirm`."""
        await self._shards.of_digest(digest).removals.confirm()

    async def end_all(self, user: bytes, entry: Entry) -> int:
        """End every session of a user, also those being created now; the entry is written once, with the first."""
        shard = self._shards.of_digest(user)
        # First, so that a sign-in under way finds another generation than it has read, and records nothing.
        await self._renew.run(shard.removals, (shard.keys.user_generation(user), shard.keys.none))
        ended, index = 0, shard.keys.user_sessions(user)
        while members := await shard.link.execute("ZRANGE", index, 0, _ENDED_AT_ONCE - 1, retry=True):
            told = entry._replace(body=b"") if ended else entry
            ended += await self._end_members(user, members, shard.keys.changes, told)
            await give_way()
        return ended

    async def _end_members(self, user: bytes, members: list[bytes], stream: bytes, entry: Entry) -> int:
        shard = self._shards.of_digest(user)
        keys = (shard.keys.user_sessions(user), shard.keys.session_index, stream)
        credentials = tuple(shard.keys.credential_prefix + member for member in members)
        ended: int = await self._end.run(shard.removals, keys + credentials, *entry, *members)
        return ended


async def _with_records(found: list[tuple[Shard, bytes]]) -> list[tuple[bytes, bytes]]:
    # A member of another length was written by somebody else.
    members = [(shard, member) for shard, member in found if len(member) == DIGEST_BYTES]
    asked = [shard.link.execute("GET", shard.keys.credential_prefix + one, retry=True) for shard, one in members]
    each = zip(members, await asyncio.gather(*asked), strict=True)
    return [(member, record) for (_, member), record in each if record is not None]
