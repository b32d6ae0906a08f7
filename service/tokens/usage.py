"""Usage: counted in the process, and flushed to Redis every second. A crash loses at most that second."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from service.addresses import read_address
from service.errors import StoreUnavailable
from service.model import Kind, Outcome, Verdict
from service.store.managed.records import PIECE
from service.store.usage import SLICE, UsageStore, Use
from service.tokens.credential import DecodedCredential

# A longer value makes the record take twice the room.
_AGENT_LENGTH = PIECE
# A name of its own: reading a member off an enumeration takes as long as the comparison.
_SESSION = Kind.SESSION


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
    # By the digest of what was used.
    _gathered: dict[bytes, Use] = field(default_factory=dict, init=False)
    # Of the sessions among them, when each ends in any case.
    _sessions: dict[bytes, int] = field(default_factory=dict, init=False)
    _limited: set[str] = field(default_factory=set, init=False)
    _flushing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
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
        if credential.kind is _SESSION:
            self._sessions[digest] = credential.expires_at
        # A derived token has no record: its uses are those of the token it comes from.
        token_id = credential.ancestors[0] if credential.ancestors else credential.token_id
        # Not the record itself: of as many tokens as a second brings it takes more than all else that is kept.
        gathered = self._gathered[digest] = Use(token_id, digest)
        return gathered

    async def flush(self) -> None:
        """Write what was gathered, behind a flush that is under way; what Redis does not take is dropped."""
        async with self._flushing:
            if self._gathered:
                try:
                    await self._write()
                except StoreUnavailable:
                    self.on_dropped()

    async def _write(self) -> None:
        # Taken in one step: what is counted while Redis is written to belongs to the next flush.
        used, self._gathered = self._gathered, {}
        sessions, self._sessions = self._sessions, {}
        limited, self._limited = self._limited, set()
        refused, self._refused = self._refused, defaultdict(int)
        for token_id in limited:
            self.on_limited(token_id)
        now, allowed = int(self.clock()), 0
        # Slice by slice: a second may bring tens of thousands, and requests go on between. What is written is let
        # go, so that what is counted meanwhile takes its room.
        while used:
            taken = [used.popitem()[1] for _ in range(min(SLICE, len(used)))]
            allowed += sum([use.allowed for use in taken])
            if sessions:
                over = {use.digest: sessions.pop(use.digest) for use in taken if use.digest in sessions}
                taken = [use for use in taken if use.digest not in over]
                if self.idle_seconds:
                    ends = {digest: idle_end(now, self.idle_seconds, end) for digest, end in over.items()}
                    await self._store.touch_sessions(ends)
            for use in taken:
                # Cut here, so that no long header becomes the key of what `_agent` remembers.
                use.address, use.agent = _address(use.address), _agent(use.agent[: 2 * _AGENT_LENGTH])
            await self._store.add(taken, now)
        await self._store.add_total(now, allowed, refused)


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
