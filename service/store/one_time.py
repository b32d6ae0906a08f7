"""One-time tokens in Redis: recorded with their expiry, burnt by their first use."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from service.store.driver.replies import Argument, Reply, packed, packed_up_to
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards
from service.store.fence import Fence

RETRY_MILLISECONDS = 30_000


class IssueLimit(NamedTuple):
    """The key of a counter of issues, and how many it admits a minute, 0 for any number."""

    key: bytes
    per_minute: int


class OneTimeStore:
    """Each method is one round trip."""

    def __init__(
        self, shards: Shards, fence: Fence, *, on_spent_twice: Callable[[bytes], None] = lambda _: None
    ) -> None:
        """`on_spent_twice` gets the digest of a token that another request spent within the last 30 s."""
        self._shards = shards
        self._fence = fence
        self._on_spent_twice = on_spent_twice
        self._getdels = [packed_up_to(b"GETDEL", shard.keys.one_time_prefix) for shard in shards]
        # The digests spent in this turn of the event loop, by shard.
        self._spent: list[list[bytes]] = [[] for _ in shards]
        # Without `retry`: repeated after a lost reply it would count the token against its issuer once more.
        self._issue = Script("issue_one_time")
        # A repeat after a lost reply is safe only if the request has a key of its own.
        self._consume = Script("consume_token")
        self._consume_again = Script("consume_token", retry=True)

    def limit(self, counter: bytes, per_minute: int, *, beside: bytes) -> IssueLimit:
        """A limit under the digest of its counter, in the shard of the digest `beside`."""
        return IssueLimit(self._shards.of_digest(beside).keys.rate(counter), per_minute)

    async def issue(self, digest: bytes, sealed: bytes, *, expires_at: int, limits: tuple[IssueLimit, ...]) -> int:
        """Record a token. Returns 0, or the milliseconds until its issuer may have another one.

        `limits`: those of an address, of its network and of all; their counters are in the token's shard.
        """
        shard = self._shards.of_digest(digest)
        while True:
            mark = await self._fence.mark(shard)
            recording = _recording(shard, {digest: mark + sealed}, expires_at, limits)
            recorded: int = await self._issue.run(shard.link, *recording)
            # If its shard moved meanwhile, the token would be void before its use: then it is recorded once more.
            if recorded < 1 or self._fence.holds(shard.link, mark):
                return max(-recorded, 0)

    def begin_issue(
        self,
        sealed: dict[bytes, bytes],
        answer: Callable[[int], None],
        *,
        expires_at: int,
        limits: tuple[IssueLimit, ...],
    ) -> None:
        """The same for the fast path: several tokens of one shard by one script; `sealed` records by digest.

        `answer` gets how many are recorded, counted from the first. For the others `issue` tells why they are not.
        """
        shard, fence = self._shards.of_digest(next(iter(sealed))), self._fence
        # Asking for the id takes a round trip, for which only `issue` can wait.
        mark = fence.known_mark(shard)
        if mark is None:
            answer(0)
            return

        def recorded(reply: Reply) -> None:
            is_recorded = isinstance(reply, int) and fence.holds(shard.link, mark)
            answer(max(reply, 0) if is_recorded else 0)

        records = {digest: mark + record for digest, record in sealed.items()}
        shard.link.submit(self._issue.packed(*_recording(shard, records, expires_at, limits)), recorded)

    async def consume(self, digest: bytes, request: bytes) -> bytes | None:
        """Burn a token and return its sealed record, or VOID, to exactly one caller.

        `request` is the digest of an idempotency key, or empty: the same request gets the same answer for 30 s.
        """
        shard = self._shards.of_digest(digest)
        keys = (shard.keys.one_time(digest), shard.keys.one_time_index, shard.keys.consumed(digest))
        script, sent_elsewhere = self._consume_again if request else self._consume, shard.link.sent_elsewhere
        reply: bytes | None = await script.run(shard.link, keys, digest, request, RETRY_MILLISECONDS)
        # The script's reply if another request has spent the token and its answer is still kept.
        if reply == b"":
            self._on_spent_twice(digest)
            return None
        return None if reply is None else self._fence.admitted(shard.link, sent_elsewhere, reply)

    def spend(self, digest: bytes, request: bytes, answer: Callable[[bytes, Reply], None]) -> None:
        """The same for the fast path: `answer` gets the digest, and the record, VOID or StoreUnavailable; after any
        other reply the caller has to call `consume`.

        Without a key there is no answer to keep, so a GETDEL is enough. The index follows with one command for all that
        was spent in a turn; a script for each would take Redis four times as long.
        """
        shard, fence = self._shards.of_digest(digest), self._fence
        link, sent_elsewhere = shard.link, shard.link.sent_elsewhere

        def admit(reply: Reply) -> None:
            is_record = reply and reply.__class__ is bytes
            answer(digest, fence.admitted(link, sent_elsewhere, reply) if is_record else reply)

        if request:
            keys = (shard.keys.one_time(digest), shard.keys.one_time_index, shard.keys.consumed(digest))
            command = self._consume_again.packed(keys, digest, request, RETRY_MILLISECONDS)
            link.submit(command, admit, retry=True)
        else:
            link.submit(self._getdels[shard.index] + digest + b"\r\n", admit)
            # The first of this turn: at its end one command removes all spent digests from the index.
            if not self._spent[shard.index]:
                asyncio.get_running_loop().call_soon(self._leave_index, shard)
            self._spent[shard.index].append(digest)

    def _leave_index(self, shard: Shard) -> None:
        spent, self._spent[shard.index] = self._spent[shard.index], []
        shard.link.submit(packed("ZREM", shard.keys.one_time_index, *spent), _passed_over)

    async def revoke(self, digest: bytes) -> bool:
        """End a token, and the answer that is kept for a retry of its use; False if there was no token to end."""
        shard = self._shards.of_digest(digest)
        # The commands of one turn are sent together, so one round trip needs no script.
        # And no MULTI, in which a full server of version 7.0 refuses even DEL.
        gone, *_ = await asyncio.gather(
            shard.removals.execute("DEL", shard.keys.one_time(digest), retry=True),
            # Its reply does not count: the token of a kept answer was spent before, and counted then.
            shard.removals.execute("DEL", shard.keys.consumed(digest), retry=True),
            shard.removals.execute("ZREM", shard.keys.one_time_index, digest, retry=True),
        )
        return bool(gone)


def _recording(
    shard: Shard, records: dict[bytes, bytes], expires_at: int, limits: tuple[IssueLimit, ...]
) -> tuple[tuple[bytes, ...], *tuple[Argument, ...]]:
    """The keys and arguments of lua/issue_one_time.lua; `records` by digest."""
    counters, admitted = zip(*limits, strict=True)
    tokens = list(map(shard.keys.one_time, records))
    indexed = [word for digest in records for word in (expires_at, digest)]
    keys = (shard.keys.one_time_index, *counters, *tokens)
    return keys, *admitted, expires_at * 1000, *records.values(), *indexed


def _passed_over(_reply: Reply) -> None:
    """Ignore the reply: members that stay in the index are swept when they expire."""
