"""Usage: counted in the process, and written to Redis every second. A crash loses at most that second, and where more
tokens are used than are written in one at most four.
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

# A longer value makes the record take twice the room.
_AGENT_LENGTH = PIECE
# For how many tokens the uses are written each second. Where there are more, the rest wait and gather further uses,
# because a write takes Redis five times as long as a validation.
_AT_ONCE = 4096
_SECONDS_TO_WAIT = 3
# Where so many wait, a great part of all requests has a use to be written.
_CROWD = 2 * _AT_ONCE
# How many tokens may wait so, and beside how many those are known whose uses are written: a kilobyte each.
_MOST_WAITING = _MOST_KNOWN = 2**17
# How long they are known: whoever comes in turn with a hundred thousand others comes again within that.
_SECONDS_KNOWN = 3
# To let tens of thousands go in one step would hold the loop for milliseconds.
_LET_GO_AT_ONCE = 1000


@dataclass(eq=False, repr=False)
class Usage:
    """Gathers uses of credentials and writes them in one go."""

    _store: UsageStore
    _session_store: SessionStore
    clock: Callable[[], float]
    idle_seconds: int
    # Told at each flush of every token whose rate limit refused a request since then.
    on_limited: Callable[[str], None]
    # Told of a flush that Redis did not take.
    on_dropped: Callable[[], None]
    # By the digest of what was used; those that were written, too, for some seconds.
    recent: dict[bytes, Use] = field(default_factory=dict, init=False)
    # Of managed tokens those of which something is gathered; those first that have waited for longest.
    _waiting: deque[Use] = field(default_factory=deque, init=False)
    # How many of them were there already at each of the last flushes, and how many are to be written by this one.
    _waited: deque[int] = field(default_factory=lambda: deque([0] * _SECONDS_TO_WAIT), init=False)
    _due: int = field(default=0, init=False)
    # The same of sessions.
    _sessions: deque[Use] = field(default_factory=deque, init=False)
    # What each of the last flushes wrote.
    _written: deque[list[Use]] = field(default_factory=lambda: deque([[] for _ in range(_SECONDS_KNOWN)]), init=False)
    _limited: set[str] = field(default_factory=set, init=False)
    _flushing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    # Of all together, what the totals of the hour do not have yet.
    _allowed: int = field(default=0, init=False)
    _refused: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int), init=False)

    def count(self, decoded: DecodedCredential, verdict: Verdict, now: float, address: str, agent: bytes) -> None:
        """Count a use of a record, whether it was allowed or refused though the secret was right."""
        use = self.recent.get(decoded.digest) or self.know(Use("", decoded.digest), decoded)
        # Identity first: nearly every verdict is that very one, and to ask for `active` is a call.
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
        """Count a use that was allowed, of what is known already."""
        if not (use.allowed or use.denied):
            self._begin(use)
        use.allowed += 1
        # Of what was allowed alone: a stranger who is refused is not who used it last. Of two processes that use it
        # in one second, the one that is flushed last tells the address: records keep whole seconds.
        use.used_at, use.address, use.agent = now, address, agent

    def _begin(self, use: Use) -> None:
        (self._sessions if use.session else self._waiting).append(use)

    def know(self, use: Use, decoded: DecodedCredential) -> Use:
        """Have this gather the uses of a record from now on. What another one has gathered of it is written, too."""
        credential = decoded.credential
        # A derived token has no record: its uses are those of the token it comes from.
        use.token_id = credential.ancestors[0] if credential.ancestors else credential.token_id
        use.session = credential if credential.kind is KIND_SESSION else None
        self.recent[use.digest] = use
        return use

    async def flush(self) -> None:
        """Write all that was gathered, behind a flush that is under way; what Redis does not take is dropped."""
        async with self._flushing:
            await self._flush(len(self._waiting))

    async def flush_due(self) -> None:
        """The same once a second, except that uses of many tokens wait for others of the same."""
        async with self._flushing:
            waiting = len(self._waiting)
            await self._flush(min(waiting, max(self._waited[0], _AT_ONCE, waiting - _MOST_WAITING)))

    async def _flush(self, count: int) -> None:
        # Noted in one step: what is first used while Redis is written to belongs to the next flush.
        self._due = count
        waited = [max(0, earlier - count) for earlier in self._waited]
        self._waited = deque([*waited[1:], len(self._waiting) - count])
        limited, self._limited = self._limited, set()
        for token_id in limited:
            self.on_limited(token_id)
        # Before any is written: what is used all the time has something gathered now.
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
        """Forget those of which nothing was gathered since they were written."""
        while written:
            for use in written[-_LET_GO_AT_ONCE:]:
                if not (use.allowed or use.denied):
                    self.recent.pop(use.digest, None)
            del written[-_LET_GO_AT_ONCE:]
            await give_way()

    async def _touch(self) -> None:
        """Put the end of the sessions off that were used, and note when; the totals alone tell how often."""
        due = len(self._sessions)
        at_once = self._store.at_once(of_a_crowd=due >= _CROWD)
        while some := [self._sessions.popleft() for _ in range(min(at_once, due))]:
            due -= len(some)
            now = int(self.clock())
            touches = [
                # One that was only refused was used by its holder, too: its secret was right.
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
        # Slice by slice: a second may bring tens of thousands, and requests go on between.
        at_once = self._store.at_once(of_a_crowd=len(self._waiting) >= _CROWD)
        while taken := self._taken(at_once):
            for use in taken:
                # Cut here, so that no long header becomes the key of what `_agent` remembers.
                use.address, use.agent = _address(use.address), _agent(use.agent[: 2 * _AGENT_LENGTH])
            added = self._store.add(taken, int(self.clock()))
            self._allowed += self._begin_anew(taken)
            await added

    def _taken(self, most: int) -> list[Use]:
        """The next uses of this flush."""
        taken = [self._waiting.popleft() for _ in range(min(most, self._due))]
        self._due -= len(taken)
        return taken

    def _begin_anew(self, written: list[Use]) -> int:
        """Let these gather from nothing again. Returns how many they had that were allowed."""
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
