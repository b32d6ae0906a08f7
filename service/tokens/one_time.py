"""One-time tokens: issued for minutes, consumed by exactly one caller."""

import math
from collections.abc import Callable
from functools import lru_cache

import msgspec

from service.addresses import address_groups
from service.counters import Decisions
from service.errors import RateLimited
from service.keyring import Keyring, encode_digest
from service.model import Credential, Kind, Verdict
from service.store.driver.replies import Reply
from service.store.driver.shards import Shards
from service.store.fence import VOID
from service.store.one_time import IssueLimit, OneTimeStore
from service.tokens.authority import MALFORMED, UNKNOWN, VOIDED, Authority
from service.tokens.secret import Minter, parse

# How many addresses' worth of anonymous tokens a network may have, and everybody together.
NETWORK_SHARE = 5
GLOBAL_LIMIT = 100
_REMEMBERED = 4096


class Issued(msgspec.Struct, frozen=True):
    """A token just issued: its secret, shown this once, and when it expires in epoch seconds."""

    secret: str
    expires_at: int


class OneTimePolicy(msgspec.Struct, frozen=True):
    """How long a token lives that says nothing of its own, and how many an address may be issued a minute."""

    ttl_seconds: int
    per_minute: int


class OneTimeTokens:
    """Issues and consumes one-time tokens."""

    def __init__(
        self,
        store: OneTimeStore,
        shards: Shards,
        authority: Authority,
        keyring: Keyring,
        minter: Minter,
        policy: OneTimePolicy,
        decisions: Decisions,
    ) -> None:
        self._store = store
        self._shards = shards
        self._authority = authority
        self._keyring = keyring
        self._minter = minter
        self._clock = authority.clock
        self.policy = policy
        self._decisions = decisions
        self._counters = lru_cache(_REMEMBERED)(self._counters_of)

    async def issue(
        self, *, address: str, anonymous: bool, ttl_seconds: int = 0, subject: str = "", data: str = ""
    ) -> Issued:
        """Issue a token; `data` is JSON text to hand to its consumer. One round trip.

        Raises RateLimited when an anonymous issuer asks more often than allowed from one address or network.
        """
        now = self._clock()
        counters = self._counters(address)
        shard = self._shards.of_digest(counters[1])
        # In the shard where its network is counted: one script may touch keys of one hash slot alone.
        secret, digest = self._minter.mint(Kind.ONE_TIME, shard)
        expires_at = int(now) + (ttl_seconds or self.policy.ttl_seconds)
        credential = Credential(
            Kind.ONE_TIME, encode_digest(digest[:12]).decode(), subject, (), int(now), expires_at, data=data
        )
        wait = await self._store.issue(
            digest,
            self._authority.seal(digest, credential),
            expires_at=expires_at,
            limits=self._limits(counters, self.policy.per_minute if anonymous else 0),
        )
        if wait:
            # In whole seconds, rounded up: a client that keeps to it is not refused again.
            raise RateLimited("Too many one-time tokens for this address.", retry_after=math.ceil(wait / 1000))
        self._decisions.issued.inc(Kind.ONE_TIME)
        return Issued(secret, expires_at)

    def _counters_of(self, address: str) -> tuple[bytes, bytes, bytes]:
        """What an issuer is counted under: its address, its network, and everybody."""
        near, far = address_groups(address)
        pseudonym = self._keyring.pseudonym
        return pseudonym("issue", near), pseudonym("issue-network", far), pseudonym("issue-global")

    def _limits(self, counters: tuple[bytes, bytes, bytes], per_minute: int) -> tuple[IssueLimit, ...]:
        """What each counter admits. Each shard bears its part of the global limit."""
        shared = max(NETWORK_SHARE, GLOBAL_LIMIT // len(self._shards))
        shares = (1, NETWORK_SHARE, shared)
        return tuple(map(IssueLimit, counters, [per_minute * share for share in shares]))

    async def consume(self, secret: bytes, *, request: str = "", required: tuple[str, ...] = ()) -> Verdict:
        """Verify and burn a token in one atomic step: exactly one caller sees ACTIVE.

        The same `request` (an idempotency key) gets the same answer for 30 s. One round trip. A token of another
        kind is MALFORMED here and stays usable. Where scopes are required it stays unspent, too, because it has none.
        """
        if parse(secret) is not Kind.ONE_TIME:
            return self._counted(MALFORMED)
        if required:
            return self._counted(await self._authority.peek(secret, (Kind.ONE_TIME,), required=required))
        mark = self._keyring.pseudonym("request", request) if request else b""
        for digest in self._authority.digests(Kind.ONE_TIME, secret):
            sealed = await self._store.consume(digest, mark)
            if sealed is not None:
                return self.spent(digest, sealed)
        return self._counted(UNKNOWN)

    def spend(self, secret: bytes, request: str, answer: Callable[[bytes, Reply], None]) -> None:
        """The first step of `consume` for the fast path: `answer` gets the digest and the reply.

        A reply that is a record is `spent`; about any other but a failure `consume` is to be asked.
        """
        mark = self._keyring.pseudonym("request", request) if request else b""
        digest = self._keyring.digest(Kind.ONE_TIME, secret)
        self._store.spend(digest, mark, lambda reply: answer(digest, reply))

    def spent(self, digest: bytes, sealed: bytes) -> Verdict:
        """The verdict on a record that was just burnt, or on VOID."""
        if sealed == VOID:
            return self._counted(VOIDED)
        return self._counted(self._authority.evaluate(self._authority.open_once(digest, sealed), (), "", self._clock()))

    def _counted(self, verdict: Verdict) -> Verdict:
        self._decisions.consumed.inc(verdict.outcome)
        return verdict

    async def revoke(self, secret: bytes) -> bool:
        """End a token before its use; False if there is none. The answer kept for a retry of its use goes as well."""
        ended = [await self._store.revoke(digest) for digest in self._authority.digests(Kind.ONE_TIME, secret)]
        self._decisions.revoked.inc(Kind.ONE_TIME, by=any(ended))
        return any(ended)
