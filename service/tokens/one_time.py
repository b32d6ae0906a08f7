"""One-time tokens: issued for minutes, consumed by exactly one caller."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import msgspec

from service.addresses import address_groups
from service.counters import Decisions
from service.errors import RateLimited
from service.keyring import Keyring, id_of
from service.model import Credential, Kind, Outcome, Scopes, Verdict
from service.store.driver.replies import Reply, give
from service.store.driver.shards import Shards
from service.store.fence import VOID
from service.store.one_time import RETRY_MILLISECONDS, IssueLimit, OneTimeStore
from service.tokens.authority import EXPIRED, MALFORMED, UNKNOWN, VOIDED, Authority
from service.tokens.secret import Minter, parse

# Anonymous tokens for a network, as a multiple of one address's share, and for everybody together.
NETWORK_SHARE = 5
GLOBAL_LIMIT = 100
_REMEMBERED = 4096
# More tokens in one script would delay Redis' other commands.
_TOGETHER = 128


class Issued(msgspec.Struct, frozen=True):
    """A new token: its secret, shown only this once, and when it expires in epoch seconds."""

    secret: str
    expires_at: int


class OneTimePolicy(msgspec.Struct, frozen=True):
    """The default life of a token, how many tokens an address may get per minute, and whether anonymous callers may get
    any.
    """

    ttl_seconds: int
    per_minute: int
    open_to_all: bool


@dataclass(eq=False, repr=False)
class OneTimeTokens:
    _store: OneTimeStore
    _shards: Shards
    _authority: Authority
    _keyring: Keyring
    _minter: Minter
    policy: OneTimePolicy
    _decisions: Decisions
    # Anonymous requests of this turn of the event loop, by address.
    _asked: dict[str, list[Callable[[Issued | None], None]]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._clock = self._authority.clock
        # Not a decorator: that would share one cache among all instances, and keep them alive.
        self._issuer = lru_cache(_REMEMBERED)(self._issuer_of)

    async def issue(
        self, *, address: str, anonymous: bool, ttl_seconds: int = 0, subject: str = "", data: str = ""
    ) -> Issued:
        """Issue a token; `data` is JSON text for its consumer. One round trip.

        Raises RateLimited if an anonymous issuer asks more often than allowed from one address or network.
        """
        network, limits = self._issuer(address, anonymous=anonymous)
        now = int(self._clock())
        expires_at = now + (ttl_seconds or self.policy.ttl_seconds)
        ((digest, secret),) = self._minter.mint_one_time(network, 1).items()
        sealed = self._seal(digest, now, expires_at, subject, data)
        wait = await self._store.issue(digest, sealed, expires_at=expires_at, limits=limits)
        if wait:
            # In whole seconds, rounded up, so that a client that waits this long is not refused again.
            raise RateLimited("Too many one-time tokens for this address.", retry_after=math.ceil(wait / 1000))
        self._decisions.issued.inc(Kind.ONE_TIME)
        return Issued(secret, expires_at)

    def begin_issue(self, address: str, answer: Callable[[Issued | None], None]) -> None:
        """`issue` to an anonymous caller, for the fast path; `answer` gets None if `issue` must be called instead.

        All requests of an address in one turn of the event loop are recorded by one script.
        """
        asked = self._asked.get(address)
        if asked is None or len(asked) == _TOGETHER:
            self._asked[address] = asked = []
            asyncio.get_running_loop().call_soon(self._issue_together, address, asked)
        asked.append(answer)

    def _issue_together(self, address: str, asked: list[Callable[[Issued | None], None]]) -> None:
        # A new list may have begun when this one was full.
        if self._asked.get(address) is asked:
            del self._asked[address]
        network, limits = self._issuer(address, anonymous=True)
        now = int(self._clock())
        expires_at = now + self.policy.ttl_seconds
        # In the shard where its network is counted, because a script may use keys of only one hash slot.
        minted = self._minter.mint_one_time(network, len(asked))

        def recorded(count: int) -> None:
            self._decisions.issued.inc(Kind.ONE_TIME, by=count)
            for place, (answer, secret) in enumerate(zip(asked, minted.values(), strict=True)):
                give(answer, Issued(secret, expires_at) if place < count else None)

        sealed = {digest: self._seal(digest, now, expires_at) for digest in minted}
        self._store.begin_issue(sealed, recorded, expires_at=expires_at, limits=limits)

    def _seal(self, digest: bytes, now: int, expires_at: int, subject: str = "", data: str = "") -> bytes:
        token_id = id_of(digest)
        credential = Credential(token_id, subject, (), now, expires_at, kind=Kind.ONE_TIME, data=data)
        return self._authority.seal(digest, credential)

    def _issuer_of(self, address: str, *, anonymous: bool) -> tuple[bytes, tuple[IssueLimit, ...]]:
        """The digest of an issuer's network, and its counters: for its address, its network, and everybody."""
        near, far = address_groups(address)
        pseudonym, per_minute = self._keyring.pseudonym, self.policy.per_minute if anonymous else 0
        network = pseudonym("issue-network", far)
        # Each shard has its part of the global limit.
        shared = max(NETWORK_SHARE, GLOBAL_LIMIT // len(self._shards))
        counters = (pseudonym("issue", near), network, pseudonym("issue-global"))
        limit = partial(self._store.limit, beside=network)
        limits = tuple(map(limit, counters, [per_minute * share for share in (1, NETWORK_SHARE, shared)]))
        return network, limits

    async def consume(self, secret: bytes, *, request: str = "", required: Scopes = ()) -> Verdict:
        """Verify and burn a token in one atomic step: exactly one caller sees ACTIVE.

        The same `request` (an idempotency key) gets the same answer for 30 s. One round trip. A token of another kind
        is MALFORMED here and stays usable. If scopes are required it is not spent, because a one-time token has none.
        """
        # Checked before Redis is asked, because GETDEL would remove any record, not only a one-time token's.
        if parse(secret) is not Kind.ONE_TIME:
            return self._counted(MALFORMED)
        if required:
            return self._counted(await self._authority.peek(secret, (Kind.ONE_TIME,), required=required))
        digests = self._authority.digests(Kind.ONE_TIME, secret)
        # One mark by each digest's key, so that a process with another present key finds the stored answer.
        marks = self._keyring.pseudonyms("request", request) if request else [b""] * len(digests)
        for digest, mark in zip(digests, marks, strict=True):
            sealed = await self._store.consume(digest, mark)
            if sealed is not None:
                return self.spent(digest, sealed, may_be_kept=bool(mark))
        return self._counted(UNKNOWN)

    def spend(self, secret: bytes, request: str, answer: Callable[[bytes, Reply], None]) -> None:
        """The first step of `consume` for the fast path: `answer` gets the digest and the reply.

        Pass a reply that is a record to `spent`; for any other reply except a failure call `consume`.
        """
        mark = self._keyring.pseudonym("request", request) if request else b""
        digest = self._keyring.digest(Kind.ONE_TIME, secret)
        self._store.spend(digest, mark, answer)

    def spent(self, digest: bytes, sealed: bytes, *, may_be_kept: bool = False) -> Verdict:
        """The verdict on a record that was just burnt, or on VOID.

        `may_be_kept`: it may be the answer to an earlier try of the same request, made before the token expired.
        """
        if sealed == VOID:
            return self._counted(VOIDED)
        credential = self._authority.unsealed(digest, sealed)
        if credential is None:
            return self._counted(UNKNOWN)
        # Redis drops it by then, but a server whose clock was set back may still have it.
        kept_seconds = RETRY_MILLISECONDS / 1000 if may_be_kept else 0
        is_over = 0 < credential.expires_at <= self._clock() - kept_seconds
        return self._counted(EXPIRED if is_over else Verdict(Outcome.ACTIVE, credential))

    def _counted(self, verdict: Verdict) -> Verdict:
        self._decisions.consumed.inc(verdict.outcome)
        return verdict

    async def revoke(self, secret: bytes) -> bool:
        """End a token before its use; False if there is none. Also removes the answer kept for a retry of its use."""
        # A list, because `any` over a generator would stop at the first.
        ended = [await self._store.revoke(digest) for digest in self._authority.digests(Kind.ONE_TIME, secret)]
        self._decisions.revoked.inc(Kind.ONE_TIME, by=any(ended))
        return any(ended)
