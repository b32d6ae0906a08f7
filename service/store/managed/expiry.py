"""What ends by time: tokens that expire, records past their retention, index members whose keys are gone."""

from service.model import ManagedToken
from service.store.audit import Entry
from service.store.decoding import Member, own_members
from service.store.driver.keys import Keys
from service.store.driver.many_tokens import ManyTokens
from service.store.driver.replies import Argument
from service.store.driver.scripts import LETTERS, Script
from service.store.driver.shards import Shard, Shards
from service.store.managed.names import freed_member, member
from service.store.managed.records import Retention
from service.store.managed.search import Blocks, name_row

# How many tokens one step ends: about half a millisecond of Redis' time.
BATCH = 32
# How many members of an index one step drops: about half a millisecond of Redis' time.
SLICE = 500
_DIGEST = LETTERS["digest"].encode()


class ExpiryStore:
    """Bounded steps of the sweep, each harmless if two processes run it at once.

    Whether a token has expired is decided in the script that ends it, by the clock of the token's node.
    """

    def __init__(self, shards: Shards, retention: Retention) -> None:
        self._shards = shards
        self._retention = retention
        self._many = ManyTokens(shards)
        self._blocks = Blocks(len(shards))
        self._tell = Script("tell_expiries", retry=True)
        self._expire = Script("expire_tokens", retry=True)
        self._purge = Script("purge_token", retry=True)
        self._mend = Script("mend_token", retry=True)
        self._trim = Script("trim_index", retry=True)

    async def now(self, shard: Shard) -> int:
        """Epoch seconds by the clock of a shard's node."""
        seconds, _ = await shard.link.execute("TIME", retry=True)
        return int(seconds)

    async def due(self, shard: Shard, now: int) -> list[str]:
        """Ids of expired tokens that are still listed as active or inactive, at most BATCH."""
        # In the index the date of an inactive token is negative; without a date it is the creation in microseconds.
        active = await self._own(shard, shard.keys.expiry, "ZRANGEBYSCORE", 1, now, *_first())
        inactive = await self._own(shard, shard.keys.expiry, "ZRANGEBYSCORE", -now, -1, *_first())
        # The rest is due again in the next round.
        return [member.token_id for member in (active + inactive)[:BATCH]]

    async def _own(self, shard: Shard, index: bytes, command: str, *bounds: Argument) -> list[Member]:
        """Members and scores in these bounds. Members that cannot be ours are removed: they would fill the batch."""
        while True:
            reply = await shard.link.execute(command, index, *bounds, retry=True)
            own = own_members(reply)
            if strange := set(reply[::2]).difference([one.token_id.encode() for one in own]):
                await shard.link.execute("ZREM", index, *strange, retry=True)
            if own or not reply:
                return own

    async def ending(self, shard: Shard, after: int, until: int, behind: str = "") -> list[Member]:
        """Active tokens with dates later than `after` and not later than `until`: at most BATCH, after the id `behind`.

        By rank, because any number of tokens may expire in the same second.
        """
        start = await shard.link.execute("ZRANK", shard.keys.expiry, behind, retry=True) if behind else None
        if start is None:
            return await self._own(shard, shard.keys.expiry, "ZRANGEBYSCORE", f"({after}", until, *_first())
        found = await self._own(shard, shard.keys.expiry, "ZRANGE", start + 1, start + BATCH, "WITHSCORES")
        # A token that was deactivated meanwhile has a negative date; then the ranks begin among the inactive ones.
        return [member for member in found if member.score <= until]

    async def write_reasons(self, shard: Shard, ending: list[Member]) -> None:
        """Write the reasons of these tokens before their credentials expire; a reason that is there stays."""
        digests = await self._many.fields([one.token_id for one in ending], Keys.metadata, (_DIGEST,))
        known = [(one, digest) for one, (digest,) in zip(ending, digests, strict=True) if digest and one.score > 0]
        reasons, until = [shard.keys.reason(digest) for _, digest in known], self._retention.reason_until
        each = [part for one, _ in known for part in (one.token_id, one.score, until(one.score))]
        await self._tell.run(shard.link, (shard.keys.expiry, *reasons), *each)

    async def expire(self, shard: Shard, entries: dict[str, Entry]) -> int:
        """List tokens as expired and write the entry of each, once. Returns how many were moved."""
        keys = shard.keys
        arguments = [part for token_id, entry in entries.items() for part in (token_id, entry.body, entry.seal)]
        keep = next(iter(entries.values())).keep
        moved: int = await self._expire.run(
            shard.link,
            (keys.on, keys.off, keys.dead, keys.expiry, keys.purge, keys.occurrences),
            self._retention.seconds,
            keep,
            *arguments,
        )
        return moved

    async def purgeable(self, shard: Shard, now: int) -> list[str]:
        """Ids whose retention is over, at most BATCH."""
        found = await self._own(shard, shard.keys.purge, "ZRANGEBYSCORE", "-inf", now, *_first())
        return [member.token_id for member in found]

    async def purge(self, shard: Shard, token: ManagedToken) -> int:
        """Remove a record for good, with its credentials: 1 done, 0 not due, -1 the token has not ended."""
        keys = shard.keys
        credentials = [keys.credential(digest) for digest in (token.digest, token.predecessor) if digest]
        done: int = await self._purge.run(
            shard.link,
            (
                *keys.record_and_usage(token.token_id),
                credentials[0],
                # Without a previous secret the first key is given twice: deleting it twice is harmless.
                credentials[-1],
                keys.off,
                keys.dead,
                keys.purge,
                keys.names,
                keys.owner(token.created_by),
                keys.imported,
                keys.last_uses,
                self._blocks.key(shard, token.token_id),
                keys.revoked(token.token_id),
            ),
            token.token_id,
            member(token),
            freed_member(token),
            name_row(token),
            # The reason of its last secret stays; earlier secrets have none, and an export may still contain them.
            self._retention.reason_goes(token) if token.revoked_at and token.rotations else "",
        )
        name_shard = self._shards.of_name(token.name)
        # If this is cut off, the name is free all the same: a name that no record has can be reserved.
        if done == 1 and name_shard is not shard:
            await name_shard.link.execute("ZREM", name_shard.keys.names, member(token), freed_member(token), retry=True)
        return done

    async def kept_too_long(self, shard: Shard, now: int, after: int) -> list[Member]:
        """Ids that seem to have ended in the future, with the times of their purges, past `after`: at most BATCH."""
        start = max(now + self._retention.seconds, after)
        return await self._own(shard, shard.keys.purge, "ZRANGEBYSCORE", f"({start}", "+inf", *_first())

    async def mend(self, shard: Shard, token: ManagedToken) -> bool:
        """Move a token that is wrongly listed as ended to the list of its status; False if it has ended."""
        keys = shard.keys
        mended: int = await self._mend.run(
            shard.link,
            (keys.credential(token.digest), keys.metadata(token.token_id), *keys.lists),
            token.token_id,
            self._retention.seconds,
        )
        return mended == 1

    async def forget(self, shard: Shard, token_id: str) -> bool:
        """Remove the members of indexes that refer to a missing record. Returns True."""
        for index in (shard.keys.purge, shard.keys.off, shard.keys.dead):
            await shard.link.execute("ZREM", index, token_id, retry=True)
        return True

    async def trim(self, shard: Shard, now: int) -> None:
        """Drop index members of one-time and session tokens that have expired, in slices."""
        for index in (shard.keys.one_time_index, shard.keys.session_index):
            await self._trim_index(shard, index)
        users = shard.keys.session_users
        for user in await shard.link.execute("ZRANGEBYSCORE", users, "-inf", now, "LIMIT", 0, BATCH, retry=True):
            await self._trim_index(shard, shard.keys.user_sessions(user), users, member=user)

    async def _trim_index(self, shard: Shard, *keys: bytes, member: bytes = b"") -> None:
        while await self._trim.run(shard.link, keys, SLICE, member) == SLICE:
            pass


def _first() -> tuple[Argument, ...]:
    """The arguments of a range by score for at most BATCH members with their scores."""
    return "WITHSCORES", "LIMIT", 0, BATCH
