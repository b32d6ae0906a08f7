"""Reads credentials: what every validation asks Redis."""

import re
from collections.abc import Callable, Iterable
from itertools import chain
from math import isfinite
from typing import Any, NamedTuple, Self

from service.model import Kind, ManagedToken, Outcome, RateLimit
from service.store.driver.keys import Keys, shard_of_digest
from service.store.driver.many_tokens import all_of
from service.store.driver.replies import Argument, OnReply, Reply, packed_up_to
from service.store.driver.scripts import LETTERS, Script
from service.store.driver.shards import Shard, Shards
from service.store.fence import Fence
from service.store.limits.counting import add_limits, counted, pool_of
from service.store.limits.subjects import Changes, ChangesByShard, digest_of

# Verdicts of lua/validate_limited.lua: the credential is not the one that was evaluated; by the clock of Redis a quota
# is in another window.
ANOTHER_RECORD, ANOTHER_WINDOW = 3, 4
# Why a credential may be gone.
_STATES = frozenset({"expired", "inactive", "revoked"})
_INSTANT = re.compile(r"[0-9]{1,12}\Z")


# A packed command, and the function that sends it.
Lookup = tuple[bytes, Callable[[bytes, OnReply], None]]


class Reason(NamedTuple):
    """Why the credential of a managed token is gone, or will be: expired, inactive or revoked; and the token's id.

    For an inactive token also the `version` of its record, by which an older record is recognized, and `expires_at` in
    epoch seconds, empty for never.
    """

    state: str
    token_id: str
    version: str = ""
    expires_at: str = ""

    @classmethod
    def of(cls, token: ManagedToken) -> Self:
        """The reason that is stored beside this record."""
        if token.revoked_at:
            return cls("revoked", token.token_id)
        if token.active:
            return cls("expired", token.token_id)
        return cls("inactive", token.token_id, str(token.version), str(token.expires_at or ""))

    @classmethod
    def read(cls, stored: bytes) -> Self:
        """Parse a stored reason. A text that the service cannot have written counts as revoked, which is final."""
        state, *others = stored.decode(errors="replace").split(" ")
        readable = state in _STATES and 0 < len(others) < 4 and all(_INSTANT.match(one) for one in others[2:])
        return cls(state, *others) if readable else cls("revoked", "")

    @property
    def text(self) -> str:
        """The reason as it is stored in Redis."""
        return " ".join(filter(None, self))

    def outcome(self, now: float) -> Outcome:
        """The outcome for the secret at `now`. As with the record, expired wins over inactive."""
        is_over = self.state == "inactive" and self.expires_at and int(self.expires_at) <= now
        return Outcome.EXPIRED if is_over else Outcome(self.state)


# The sealed credential of a session or managed token, and why that of a managed one may be gone.
Found = tuple[bytes | None, Reason | None]


class Terms(NamedTuple):
    """What one request is charged: its credential's limits, and a use if it `spends` one.

    `seal` belongs to the record with these terms. The `shared` limits of `subject` are charged, too; empty for none.
    """

    token_id: str
    seal: bytes
    limits: tuple[RateLimit, ...]
    spends: bool
    subject: str = ""
    shared: tuple[RateLimit, ...] = ()


class Charge(NamedTuple):
    """The reply of lua/validate_limited.lua. Times in milliseconds.

    `states`: for each limit in turn what remains, the time until it is full, and the time until it admits the request;
    with ANOTHER_WINDOW the time of Redis, epoch seconds.
    """

    sealed: bytes | None
    verdict: int
    states: list[int]

    @classmethod
    def read(cls, reply: list[Any]) -> Self:
        """From a reply of the script."""
        return cls(reply[0], reply[1], reply[2:])


class CredentialStore:
    """Finds credentials by digest. Each method is one round trip; all calls of a turn share one write."""

    def __init__(self, shards: Shards, fence: Fence, clock: Callable[[], float]) -> None:
        self._shards = shards
        self._fence = fence
        # Without `retry`: after a lost reply the request would be charged twice.
        self._limited = Script("validate_limited")
        # Every lookup that may decide on a limit goes with the question whether limits of subjects changed.
        self.changes = changes = ChangesByShard(shards, clock)
        prepared = [(packed_up_to(b"GET", one.keys.credential_prefix), changes.of(one)) for one in shards]
        # Indexed by a digest's first byte, so that a validation need not compute its shard.
        self._prepared = [prepared[shard_of_digest(bytes([first]), len(prepared))] for first in range(256)]

    async def find(self, digest: bytes) -> bytes | None:
        """The sealed credential of a session or managed token, None if there is none."""
        shard = self._shards.of_digest(digest)
        self.changes.of(shard).ask()
        reply: bytes | None = await shard.link.execute("GET", shard.keys.credential(digest), retry=True)
        return reply

    def prepare(self, digest: bytes) -> tuple[bytes, Changes]:
        """`find` for the fast path: the packed command, and the `Changes` that send it."""
        opening, changes = self._prepared[digest[0]]
        return opening + digest + b"\r\n", changes

    async def find_one_time(self, digest: bytes) -> bytes | None:
        """The sealed record of a one-time token, which stays unspent; VOID if it is void, None if there is none."""
        shard = self._shards.of_digest(digest)
        sent_elsewhere = shard.link.sent_elsewhere
        reply: bytes | None = await shard.link.execute("GET", shard.keys.one_time(digest), retry=True)
        return None if reply is None else self._fence.admitted(shard.link, sent_elsewhere, reply)

    async def find_with_reason(self, digest: bytes) -> Found:
        """A managed token's sealed credential, and why it may be gone. One round trip."""
        shard = self._shards.of_digest(digest)
        self.changes.of(shard).ask()
        # By one command, so that both are from the same instant.
        sealed, reason = await shard.link.execute("MGET", *shard.keys.credential_and_reason(digest), retry=True)
        return sealed, None if reason is None else Reason.read(reason)

    async def find_any(self, kind: Kind, digest: bytes) -> Found:
        """The sealed record of a token of any kind, and why a managed token may be gone. Spends nothing."""
        if kind is Kind.MANAGED:
            return await self.find_with_reason(digest)
        return await (self.find_one_time if kind is Kind.ONE_TIME else self.find)(digest), None

    async def find_all(self, digests: list[bytes]) -> dict[bytes, bytes | None]:
        """The sealed credentials of many sessions and managed tokens, with one command to each shard."""
        found: dict[bytes, bytes | None] = {}
        for group, reply in await self._read_all(digests, lambda keys, some: keys.credentials(some)):
            found.update(zip(group, reply, strict=True))
        return found

    async def find_all_with_reasons(self, digests: list[bytes]) -> dict[bytes, Found]:
        """The same, and why managed tokens may be gone."""
        return {
            digest: (sealed, None if reason is None else Reason.read(reason))
            for group, reply in await self._read_all(
                digests, lambda keys, some: chain.from_iterable(map(keys.credential_and_reason, some))
            )
            for digest, sealed, reason in zip(group, reply[::2], reply[1::2], strict=True)
        }

    async def _read_all(
        self, digests: list[bytes], keys_of: Callable[[Keys, list[bytes]], Iterable[bytes]]
    ) -> list[tuple[list[bytes], Reply]]:
        """The digests of each shard, and the values of their keys there."""
        groups: list[list[bytes]] = [digests] if len(self._shards) == 1 else [[] for _ in self._shards]
        for digest in digests if len(groups) > 1 else ():
            groups[shard_of_digest(digest, len(groups))].append(digest)
        for shard, group in zip(self._shards, groups, strict=True):
            if group:
                self.changes.of(shard).ask()
        asked = [
            shard.link.execute("MGET", *keys_of(shard.keys, group), retry=True)
            for shard, group in zip(self._shards, groups, strict=True)
            if group
        ]
        replies = await all_of(asked)
        return list(zip(filter(None, groups), replies, strict=True))

    async def confirm_gone(self, digest: bytes) -> None:
        """Have earlier removals confirmed as the settings ask; see `Removals.confirm`."""
        await self._shards.of_digest(digest).removals.confirm()

    async def time(self, digest: bytes) -> int:
        """The clock of the server that holds this digest, epoch seconds. Credentials expire by this clock."""
        seconds, _ = await self._shards.of_digest(digest).link.execute("TIME", retry=True)
        return int(seconds)

    async def charge(self, digest: bytes, terms: Terms, cost: int, now: float) -> Charge:
        """Read a credential and charge a request to its limits and its uses: to all of them or to none.

        This includes its subject's limits unless they `lie_apart`. Nothing is charged if the credential begins with
        another seal, if limits of subjects have changed, or if a quota is in another window than at `now`.
        """
        shard = self._shards.of_digest(digest)
        self.changes.of(shard).ask()
        keys, args = self._charging(shard, digest, terms, cost, now)
        return Charge.read(await self._limited.run(shard.link, keys, *args))

    def prepare_charge(self, digest: bytes, terms: Terms, now: float, cost: int) -> Lookup:
        """The same for the fast path; the reply is the input of `Charge.read`, or NoScriptError."""
        shard = self._shards.of_digest(digest)
        keys, args = self._charging(shard, digest, terms, cost, now)
        return self._limited.packed(keys, *args), self.changes.of(shard).submit

    def lie_apart(self, digest: bytes, terms: Terms) -> bool:
        """True if there are shared limits and they are counted in another shard than the credential's."""
        return bool(terms.shared) and self._shards.of_name(terms.subject) is not self._shards.of_digest(digest)

    async def charge_shared(self, terms: Terms, record: bytes, cost: int, now: float) -> Charge:
        """Charge only the shared limits, as stored in `record`; a negative cost gives back."""
        shard = self._shards.of_name(terms.subject)
        subject = digest_of(terms.subject)
        # The record of the limits takes the place of the credential: if it has changed, nothing is charged.
        place = shard.keys.limits(subject)
        keys = [place, place, place]
        args: list[Argument] = [record, 0, cost, b"-"]
        add_limits(shard, pool_of(terms.subject), terms.shared, now, keys, args)
        return Charge.read(await self._limited.run(shard.link, tuple(keys), *args))

    def _charging(
        self, shard: Shard, digest: bytes, terms: Terms, cost: int, now: float
    ) -> tuple[tuple[bytes, ...], list[Argument]]:
        """The keys and arguments of lua/validate_limited.lua."""
        token_id, seal, limits, spends, subject, shared = terms
        # A token without a subject shares no limits, so no change of them concerns it.
        known = self.changes.of(shard).count if subject else b"-"
        keys = [shard.keys.credential(digest), shard.keys.metadata(token_id), shard.keys.limits_changed]
        args: list[Argument] = [seal, int(spends), cost, known]
        add_limits(shard, token_id, limits, now, keys, args)
        if shared and not self.lie_apart(digest, terms):
            add_limits(shard, pool_of(subject), shared, now, keys, args)
        return tuple(keys), args

    async def dues(self, token_id: str, limits: tuple[RateLimit, ...], now: float) -> list[float]:
        """When each rate limit is full again, epoch milliseconds, 0 for now; of each quota how much is used.

        Charges nothing. No round trip without limits.
        """
        return await self._dues(self._shards.of_id(token_id), token_id, limits, now)

    async def shared_dues(self, subject: str, limits: tuple[RateLimit, ...], now: float) -> list[float]:
        """The same for shared limits."""
        return await self._dues(self._shards.of_name(subject), pool_of(subject), limits, now)

    async def _dues(self, shard: Shard | None, token_id: str, limits: tuple[RateLimit, ...], now: float) -> list[float]:
        if shard is None or not limits:
            return [0] * len(limits)
        keys = [counted(shard.keys, token_id, limit, now)[0] for limit in limits]
        return [_number(due) for due in await shard.link.execute("MGET", *keys, retry=True)]

    async def uses_left(self, token_id: str) -> int:
        """How many uses are left of a token whose uses are counted; 0 for any other token."""
        shard = self._shards.of_id(token_id)
        if shard is None:
            return 0
        uses: Reply = await shard.link.execute("HGET", shard.keys.metadata(token_id), LETTERS["uses_left"], retry=True)
        return int(_number(uses))


def _number(stored: bytes | None) -> float:
    """The number in a counter; 0 if there is none, or if a script cannot have written it."""
    try:
        number = float(stored or 0)
    except ValueError:
        return 0
    # `float` also parses nan and inf, and with such a debt the limit would not apply.
    return number if isfinite(number) else 0
