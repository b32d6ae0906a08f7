"""Usage: counted in the process and written to Redis every second. A crash loses at most that second, or at most four
seconds if more tokens are used than one second's write takes.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from service.addresses import read_address
from service.errors import StoreUnavailable
from service.model import KIND_SESSION, Outcome, Verdict
from service.store.managed.records import PIECE
from service.store.pacing import give_way
from service.store.sessions import SessionStore, Touch
from service.store.usage import UsageStore, Use
from service.tokens.credential import DecodedCredential

# A longer value would double the size of the record.
_AGENT_LENGTH = PIECE
# Uses of so many tokens are written per second. If there are more, the others wait and collect further uses, because
# a write takes Redis five times as long as a validation.
_AT_ONCE = 4096
_SECONDS_TO_WAIT = 3
# If so many wait, a large part of all requests has a use to write.
_CROWD = 2 * _AT_ONCE
# At most so many tokens wait, and so many are remembered after their write: a kilobyte each.
_MOST_WAITING = _MOST_KNOWN = 2**17
# How long they are remembered: a token that is used in turn with 100,000 others is used again within this time.
_SECONDS_KNOWN = 3
# Freeing tens of thousands in one step would block the event loop for milliseconds.
_LET_GO_AT_ONCE = 1000


@dataclass(eq=False, repr=False)
class Usage:
    """Collects uses of credentials and writes them together."""

    _store: UsageStore
    _session_store: SessionStore
    clock: Callable[[], float]
    idle_seconds: int
    # Called at each flush with every token whose rate limit has refused a request since the last one.
    on_limited: Callable[[str], None]
    # Called for a flush that Redis did not take.
    on_dropped: Callable[[], None]
    # By the digest of the used credential; for some seconds also those already written.
    recent: dict[bytes, Use] = field(default_factory=dict, init=False)
    # Managed tokens with collected uses, those that have waited longest first.
    _waiting: deque[Use] = field(default_factory=deque, init=False)
    # How many of these waited already at each of the last flushes, and how many the present flush writes.
    _waited: deque[int] = field(default_factory=lambda: deque([0] * _SECONDS_TO_WAIT), init=False)
    _due: int = field(default=0, init=False)
    # Sessions with collected uses.
    _sessions: deque[Use] = field(default_factory=deque, init=False)
    # What each of the last flushes wrote.
    _written: deque[list[Use]] = field(default_factory=lambda: deque([[] for _ in range(_SECONDS_KNOWN)]), init=False)
    _limited: set[str] = field(default_factory=set, init=False)
    _flushing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    # Uses of all tokens that the totals of the hour do not have yet.
    _allowed: int = field(default=0, init=False)
    _refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int), init=False)

    def count(self, decoded: DecodedCredential, verdict: Verdict, now: float, address: str, agent: bytes) -> None:
        """Count a use of a record, whether it was allowed, or refused though the secret was right."""
        use = self.recent.get(decoded.digest) or self.know(Use("", decoded.digest), decoded)
        # Identity first: nearly every verdict is this same object, and `active` is a call.
        if verdict is decoded.active or verdict.active:
            self.allow(use, now, address, agent)
            return
        if not (use.allowed or use.denied):
            self._begin(use)
        use.denied += 1
        self._refused[verdict.outcome] += 1
        if verdict.outcome is Outcome.RATE_LIMITED:
            self._limited.add(decoded.terms.token_id)

    def allow(self, use: Use, now: float, address: str, agent: bytes) -> None:
        """Count an allowed use of a record that is known already."""
        if not (use.allowed or use.denied):
            self._begin(use)
        use.allowed += 1
        # Only for allowed uses: a refused stranger is not the last user. If two processes use a token in one second,
        # the one flushed last sets the address, because records keep whole seconds.
        use.used_at, use.address, use.agent = now, address, agent

    def _begin(self, use: Use) -> None:
        (self._sessions if use.session else self._waiting).append(use)

    def know(self, use: Use, decoded: DecodedCredential) -> Use:
        """Make `use` collect the uses of this record from now on. Those of an earlier object are written too."""
        credential = decoded.credential
        # A derived token has no record: its uses are counted for the token at the top.
        use.token_id = credential.ancestors[0] if credential.ancestors else credential.token_id
        use.session = credential if credential.kind is KIND_SESSION else None
        self.recent[use.digest] = use
        return use

    async def flush(self) -> None:
        """Write everything collected, after any flush under way. What Redis does not take is dropped."""
        async with self._flushing:
            await self._flush(len(self._waiting))

    async def flush_due(self) -> None:
        """The flush of every second. If many tokens were used, some wait and collect further uses."""
        async with self._flushing:
            waiting = len(self._waiting)
            await self._flush(min(waiting, max(self._waited[0], _AT_ONCE, waiting - _MOST_WAITING)))

    async def _flush(self, count: int) -> None:
        # Fixed in one step: what is first used during the writes belongs to the next flush.
        self._due = count
        waited = [max(0, earlier - count) for earlier in self._waited]
        self._waited = deque([*waited[1:], len(self._waiting) - count])
        limited, self._limited = self._limited, set()
        for token_id in limited:
            self.on_limited(token_id)
        # Before any write, because a token in constant use has collected something by now.
        await self._let_go(self._written.popleft())
        self._written.append([])
        try:
            await self._touch()
            await self._write()
            allowed, self._allowed = self._allowed, 0
            refused, self._refused = self._refused, defaultdict(int)
            if allowed or refused:
                await self._store.add_total(int(self.clock()), allowed, refused)
        except StoreUnavailable:
            self.on_dropped()
            while dropped := self._taken(_LET_GO_AT_ONCE):
                self._begin_anew(dropped)
                await give_way()

    async def _let_go(self, written: list[Use]) -> None:
        """Forget those that have collected nothing since they were written."""
        while written:
            for use in written[-_LET_GO_AT_ONCE:]:
                if not (use.allowed or use.denied):
                    self.recent.pop(use.digest, None)
            del written[-_LET_GO_AT_ONCE:]
            await give_way()

    async def _touch(self) -> None:
        """Postpone the idle end of the used sessions, and record when; only the totals count their uses."""
        due = len(self._sessions)
        at_once = self._store.at_once(of_a_crowd=due >= _CROWD)
        while some := [self._sessions.popleft() for _ in range(min(at_once, due))]:
            due -= len(some)
            now = int(self.clock())
            touches = [
                # A refused use was made by the holder too, because the secret was right.
                Touch(
                    use.digest,
                    use.session,
                    int(use.used_at) or now,
                    idle_end(now, self.idle_seconds, use.session.expires_at),
                )
                for use in some
                if use.session
            ]
            self._allowed += self._begin_anew(some)
            await self._session_store.touch(touches)

    async def _write(self) -> None:
        # In slices: a second may bring tens of thousands, and requests must be served in between.
        at_once = self._store.at_once(of_a_crowd=len(self._waiting) >= _CROWD)
        while taken := self._taken(at_once):
            for use in taken:
                # Cut here, so that no long header becomes a key in the cache of `_agent`.
                use.address, use.agent = _address(use.address), _agent(use.agent[: 2 * _AGENT_LENGTH])
            added = self._store.add(taken, int(self.clock()))
            self._allowed += self._begin_anew(taken)
            await added

    def _taken(self, most: int) -> list[Use]:
        """The next uses of this flush, at most `most`."""
        taken = [self._waiting.popleft() for _ in range(min(most, self._due))]
        self._due -= len(taken)
        return taken

    def _begin_anew(self, written: list[Use]) -> int:
        """Reset these uses to zero. Returns how many allowed uses they had."""
        allowed = sum([use.allowed for use in written])
        for use in written:
            use.used_at = use.allowed = use.denied = 0
        if len(self.recent) > _MOST_KNOWN:
            for use in written:
                self.recent.pop(use.digest, None)
        else:
            self._written[-1] += written
        return allowed


def idle_end(now: int, idle_seconds: int, expires_at: int) -> int:
    """When a session used at `now` ends if it is not used again; without an idle time, its expiry."""
    # One second more, because `now` is the beginning of a second.
    return min(now + idle_seconds + 1, expires_at) if idle_seconds else expires_at


@lru_cache(1024)
def _address(text: str) -> str:
    """The address if it is valid: a proxy may forward anything."""
    return str(read_address(text) or "")


@lru_cache(1024)
def _agent(header: bytes) -> bytes:
    """The user agent as the client names itself, cut to a length and without control characters."""
    agent = header.decode("latin-1")
    shown = agent if agent.isprintable() else "".join(sign for sign in agent if sign.isprintable())
    return shown.encode()[:_AGENT_LENGTH].decode(errors="ignore").encode()
