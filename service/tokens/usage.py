"""Usage: counted in the process, and written to Redis every second. A crash loses at most that second, and where more
tokens are used than are written in one at most four.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from service.addresses import read_address
from service.errors import StoreUnavailable
from service.model import KIND_SESSION, Outcome, Verdict
from service.store.managed.records import PIECE
from service.store.pacing import give_way
from service.store.usage import UsageStore, Use
from service.tokens.credential import DecodedCredential

# A longer value makes the record take twice the room.
_AGENT_LENGTH = PIECE
# For how many tokens the uses are written each second. Where there are more, the rest wait and gather further uses,
# because a write takes Redis five times as long as a validation.
_AT_ONCE = 4096
_SECONDS_TO_WAIT = 3
# Where so many wait, a great part of all requests has a use to be written.
_CROWD = 2 * _AT_ONCE
# How many tokens may wait so: forty megabytes.
_MOST_WAITING = 2**17
# To let tens of thousands go in one step would hold the loop for milliseconds.
_DROPPED_AT_ONCE = 1000


@dataclass(eq=False, repr=False)
class Usage:
    """Gathers uses of credentials and writes them in one go."""

    _store: UsageStore
    clock: Callable[[], float]
    idle_seconds: int
    # Told at each flush of every token whose rate limit refused a request since then.
    on_limited: Callable[[str], None]
    # Told of a flush that Redis did not take.
    on_dropped: Callable[[], None]
    # Of managed tokens, by the digest of what was used; those first that have waited for longest.
    _gathered: dict[bytes, Use] = field(default_factory=dict, init=False)
    # How many of them were there already at each of the last flushes.
    _waited: deque[int] = field(default_factory=lambda: deque([0] * _SECONDS_TO_WAIT), init=False)
    # Of sessions, and when each ends in any case.
    _sessions: dict[bytes, tuple[Use, int]] = field(default_factory=dict, init=False)
    _limited: set[str] = field(default_factory=set, init=False)
    _flushing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    # Of all together, what the totals of the hour do not have yet.
    _allowed: int = field(default=0, init=False)
    _refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int), init=False)

    def count(self, decoded: DecodedCredential, verdict: Verdict, now: float, address: str, agent: bytes) -> None:
        """Count a use of a record, whether it was allowed or refused though the secret was right."""
        gathered = self._gathered.get(decoded.digest)
        if gathered is None:
            gathered = self._begin(decoded)
        # Identity first: nearly every verdict is that very one, and to ask for `active` is a call.
        if verdict is decoded.active or verdict.active:
            gathered.allowed += 1
            # Of what was allowed alone: a stranger who is refused is not who used it last. Of two processes that use it
            # in one second, the one that is flushed last tells the address: records keep whole seconds.
            gathered.used_at, gathered.address, gathered.agent = now, address, agent
            return
        gathered.denied += 1
        self._refused[verdict.outcome] += 1
        if verdict.outcome is Outcome.RATE_LIMITED:
            self._limited.add(decoded.terms.token_id)

    def _begin(self, decoded: DecodedCredential) -> Use:
        digest, credential = decoded.digest, decoded.credential
        if credential.kind is KIND_SESSION:
            if (known := self._sessions.get(digest)) is None:
                known = self._sessions[digest] = Use(credential.token_id, digest), credential.expires_at
            return known[0]
        # A derived token has no record: its uses are those of the token it comes from.
        token_id = credential.ancestors[0] if credential.ancestors else credential.token_id
        # Not the record itself: of as many tokens as a second brings it takes more than all else that is kept.
        gathered = self._gathered[digest] = Use(token_id, digest)
        return gathered

    async def flush(self) -> None:
        """Write all that was gathered, behind a flush that is under way; what Redis does not take is dropped."""
        async with self._flushing:
            await self._flush(len(self._gathered))

    async def flush_due(self) -> None:
        """The same once a second, except that uses of many tokens wait for others of the same."""
        async with self._flushing:
            waiting = len(self._gathered)
            await self._flush(min(waiting, max(self._waited[0], _AT_ONCE, waiting - _MOST_WAITING)))

    async def _flush(self, count: int) -> None:
        # Noted in one step: what is first used while Redis is written to belongs to the next flush.
        due = deque(islice(self._gathered, count))
        waited = [max(0, earlier - count) for earlier in self._waited]
        self._waited = deque([*waited[1:], len(self._gathered) - count])
        limited, self._limited = self._limited, set()
        for token_id in limited:
            self.on_limited(token_id)
        try:
            await self._touch()
            await self._write(due)
            allowed, self._allowed = self._allowed, 0
            refused, self._refused = self._refused, defaultdict(int)
            if allowed or refused:
                await self._store.add_total(int(self.clock()), allowed, refused)
        except StoreUnavailable:
            self.on_dropped()
            while due:
                for _ in range(min(_DROPPED_AT_ONCE, len(due))):
                    del self._gathered[due.popleft()]
                await give_way()

    async def _touch(self) -> None:
        """Put the end of the sessions off that were used; their uses are told in the totals alone."""
        sessions, self._sessions = self._sessions, {}
        self._allowed += sum([use.allowed for use, _ in sessions.values()])
        at_once = self._store.at_once(of_a_crowd=False)
        while sessions and self.idle_seconds:
            now = int(self.clock())
            over = [sessions.popitem() for _ in range(min(at_once, len(sessions)))]
            await self._store.touch_sessions({key: idle_end(now, self.idle_seconds, end) for key, (_, end) in over})

    async def _write(self, due: deque[bytes]) -> None:
        # Slice by slice: a second may bring tens of thousands, and requests go on between. What is written is let
        # go, so that what is counted meanwhile takes its room.
        at_once = self._store.at_once(of_a_crowd=len(self._gathered) >= _CROWD)
        while taken := [self._gathered.pop(due.popleft()) for _ in range(min(at_once, len(due)))]:
            self._allowed += sum([use.allowed for use in taken])
            for use in taken:
                # Cut here, so that no long header becomes the key of what `_agent` remembers.
                use.address, use.agent = _address(use.address), _agent(use.agent[: 2 * _AGENT_LENGTH])
            await self._store.add(taken, int(self.clock()))


def idle_end(now: int, idle_seconds: int, expires_at: int) -> int:
    """When a session ends that was used at `now` and is used no more; without an idle time with its full time."""
    # A second more, because `now` has begun.
    return min(now + idle_seconds + 1, expires_at) if idle_seconds else expires_at


@lru_cache(1024)
def _address(text: str) -> str:
    """The address if it is one: what a proxy forwards may be anything."""
    return str(read_address(text) or "")


@lru_cache(1024)
def _agent(header: bytes) -> bytes:
    """The user agent as a client names itself, cut to a length and without control characters."""
    agent = header.decode("latin-1")
    shown = agent if agent.isprintable() else "".join(sign for sign in agent if sign.isprintable())
    return shown.encode()[:_AGENT_LENGTH].decode(errors="ignore").encode()
