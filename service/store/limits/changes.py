"""Hears of changed limits of subjects: with the lookups of every turn goes the question how often they changed.

The answer comes before those of the lookups behind it, so what is remembered of subjects is never older than what is
decided by it.
"""

from collections.abc import Callable

from service.store.driver.connection import Link
from service.store.driver.replies import Answer, Reply, packed
from service.store.driver.shards import Shard, Shards

_UNHEARD = b"?"


class Changes:
    """What one link hears."""

    def __init__(self, shard: Shard, heard: Callable[[str | None], None]) -> None:
        """`heard` is told whose limits changed; None where it may be anybody's."""
        self.known = _UNHEARD
        self._link: Link = shard.link
        self._command = packed("GET", shard.keys.limits_changed)
        self._heard = heard
        self._turn: object = None

    @property
    def count(self) -> bytes:
        """How often limits changed, as far as it was heard."""
        return self.known.partition(b" ")[0].strip(b"?") or b"0"

    def ask(self) -> None:
        """Once for all that is sent in this turn."""
        link = self._link
        if (turn := link.turn) is not self._turn:
            self._turn = turn
            link.submit(self._command, self._learn, retry=True)

    def submit(self, command: bytes, answer: Answer, *, retry: bool = False) -> None:
        """As `Link.submit`, behind the question."""
        self.ask()
        self._link.submit(command, answer, retry=retry)

    def _learn(self, reply: Reply) -> None:
        # Not heard: the next lookup asks again, also in the same turn.
        if isinstance(reply, Exception):
            self._turn = None
            return
        now, before = reply or b"", self.known
        if now != before:
            self.known = now
            self._heard(_whose(before, now))


def _whose(before: bytes, now: bytes) -> str | None:
    """The only subject whose limits changed between the two; None if there may be others."""
    count, _, subject = now.partition(b" ")
    last = before.partition(b" ")[0] or b"0"
    # Counted on by exactly one: a message that was missed may have named somebody else.
    if count.isdigit() and last.isdigit() and int(count) == int(last) + 1:
        return subject.decode(errors="replace")
    return None


class ChangesByShard:
    """Those of every shard. Shards that one link leads to are heard of by the first, where each is counted first."""

    def __init__(self, shards: Shards) -> None:
        self.heard: Callable[[str | None], None] = lambda _: None
        by_link: dict[Link, Changes] = {}
        for shard in shards:
            by_link.setdefault(shard.link, Changes(shard, self._tell))
        self._each = [by_link[shard.link] for shard in shards]

    def _tell(self, subject: str | None) -> None:
        self.heard(subject)

    def of(self, shard: Shard) -> Changes:
        """Those that lookups in this shard go with."""
        return self._each[shard.index]
