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
        """`on_spent_twice` is told the digest of a token that another request spent within the last 30 s."""
        self._shards = shards
        self._fence = fence
        self._on_spent_twice = on_spent_twice
        self._getdels = [packed_up_to(b"GETDEL", shard.keys.one_time_prefix) for shard in shards]
        # What was spent in this turn, by shard.
        self._spent: list[list[bytes]] = [[] for _ in shards]
        # Without `retry`: asked again after a lost reply it would count the token against its issuer once more.
        self._issue = Script("issue_one_time")
        # Asking again after a lost reply is safe only with a request's own key; the caller says so.
        self._consume = Script("consume_token")
        self._consume_again = Script("consume_token", retry=True)

    def limit(self, counter: bytes, per_minute: int, *, beside: bytes) -> IssueLimit:
        """A limit kept under the digest of its counter, in the shard of another digest."""
        return IssueLimit(self._shards.of_digest(beside).keys.rate(counter), per_minute)

    async def issue(self, digest: bytes, sealed: bytes, *, expires_at: int, limits: tuple[IssueLimit, ...]) -> int:
        """Record a token. 0, or the milliseconds until its issuer may have another one.

        `limits`: of an address, of its network and of all, whose counters are kept in the token's shard.
        """
        shard = self._shards.of_digest(digest)
        while True:
            mark = await self._fence.mark(shard)
            recording = _recording(shard, {digest: mark + sealed}, expires_at, limits)
            recorded: int = await self._issue.run(shard.link, *recording)
            # Where its shard moved meanwhile it would be void before its use: then it is recorded once more.
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
        """The same of several tokens in one shard by one script, sealed under their digests, for the fast path.

        `answer` is told how many are recorded, from the first on; of the rest `issue` tells why they are not.
        """
        shard, fence = self._shards.of_digest(next(iter(sealed))), self._fence
        # A callback cannot wait until the id was asked for; `issue` can.
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
        # The script answers so where another request has spent the token and its answer is still kept.
        if reply == b"":
            self._on_spent_twice(digest)
            return None
        return None if reply is None else self._fence.admitted(shard.link, sent_elsewhere, reply)

    def spend(self, digest: bytes, request: bytes, answer: Callable[[bytes, Reply], None]) -> None:
        """The same for the fast path: `answer` gets the digest, and the record or VOID, or what `consume` must be asked
        about again.

        Without a key there is no answer to keep, and what is left beside GETDEL is bookkeeping: it follows for all that
        was spent in a turn, where a script would take Redis four times as long for each.
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
            # The first of this turn: at its end all that were spent in it leave the index by one command.
            if not self._spent[shard.index]:
                asyncio.get_running_loop().call_soon(self._leave_index, shard)
            self._spent[shard.index].append(digest)

    def _leave_index(self, shard: Shard) -> None:
        spent, self._spent[shard.index] = self._spent[shard.index], []
        shard.link.submit(packed("ZREM", shard.keys.one_time_index, *spent), _passed_over)

    async def revoke(self, digest: bytes) -> bool:
        """End a token, and the answer that is kept for a retry of its use; False if there was none to end."""
        shard = self._shards.of_digest(digest)
        # The commands of one turn travel together, so no script is needed for one round trip.
        # Nor MULTI, in which a full server of 7.0 refuses even DEL.
        gone, *_ = await asyncio.gather(
            shard.removals.execute("DEL", shard.keys.one_time(digest), retry=True),
            # That it was spent is no end of a token: it was counted where it was consumed.
            shard.removals.execute("DEL", shard.keys.consumed(digest), retry=True),
            shard.removals.execute("ZREM", shard.keys.one_time_index, digest, retry=True),
        )
        return bool(gone)


def _recording(
    shard: Shard, records: dict[bytes, bytes], expires_at: int, limits: tuple[IssueLimit, ...]
) -> tuple[tuple[bytes, ...], *tuple[Argument, ...]]:
    """The keys and arguments of lua/issue_one_time.lua; the records stand under their digests."""
    counters, admitted = zip(*limits, strict=True)
    tokens = list(map(shard.keys.one_time, records))
    indexed = [word for digest in records for word in (expires_at, digest)]
    keys = (shard.keys.one_time_index, *counters, *tokens)
    return keys, *admitted, expires_at * 1000, *records.values(), *indexed


def _passed_over(_reply: Reply) -> None:
    """What is left in the index goes with its time."""
