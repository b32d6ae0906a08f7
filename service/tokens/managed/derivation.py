"""Derived tokens: made by the holder of a token, never wider than that token, and ended by whatever ends it.

A derived token is a credential without a record: it is listed under its parent, and leaves nothing when it has ended.
"""

import asyncio
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import NamedTuple

import msgspec

from service.counters import DERIVED, Decisions
from service.errors import Conflict, Forbidden, NotFound, Unauthorized, token_not_valid
from service.model import Credential, DerivedToken, Kind, ManagedToken, Origin, RateLimit
from service.store.managed.derived import MOST_BELOW, MOST_CHILDREN, Derived, DerivedStore
from service.store.pacing import STEP, give_way, paced, paced_list
from service.tokens.audit.log import AuditLog
from service.tokens.authority import Authority
from service.tokens.credential import DecodedCredential
from service.tokens.idempotency import Minted, Repeatable, Repeats, ended_since
from service.tokens.managed.records import TRIES, ManagedRecords, keeps_changing
from service.tokens.managed.tokens import Created
from service.tokens.rights import check_end, check_life, check_within, cut_life

MOST_LEVELS = 3
USUAL_SECONDS = 3600
# Shown for a secret whose last characters are unknown, because no record stores them.
_MASKED = "****"


class Narrowed(msgspec.Struct, frozen=True):
    """What a token is derived with; None means as the parent has it. Whoever decodes it has checked it.

    Without `ttl_seconds` it lives for an hour, or until its parent ends if that is earlier.

    Without `rate_limits` and `max_uses` it charges the limits and the uses of its parent, if that has any.
    """

    ttl_seconds: int = 0
    subject: str | None = None
    scopes: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    rate_limits: tuple[RateLimit, ...] | None = None
    max_uses: int = 0


class Children(NamedTuple):
    """A page of the tokens derived directly from a token, whether more follow, and how many there are."""

    page: list[ManagedToken]
    more_follow: bool
    total: int


@dataclass(eq=False, repr=False)
class Derivation:
    """Derives tokens from others, lists and ends them."""

    _store: DerivedStore
    _managed_records: ManagedRecords
    _authority: Authority
    _repeats: Repeats
    _audit_log: AuditLog
    _decisions: Decisions
    _clock: Callable[[], float]

    async def derive(
        self, secret: bytes, wanted: Narrowed, origin: Origin, request: Repeatable | None = None
    ) -> Created:
        """A new token for the holder of this secret. Two round trips, three for a `request` that may be repeated, and
        one more if limits or uses are to be shown.

        Raises Unauthorized for a secret that has ended; Forbidden for terms wider than those of the secret's token, and
        on the last level; Conflict `too_many_derived`, `idempotency_mismatch`, and `token_revoked` for a repeat after
        the token of the first try has ended.
        """
        for _ in range(TRIES):
            # Read in each round, because the script derives only from exactly the record that was checked here.
            parent = await self._read(secret)
            # In the shard of its parent, so that one script reaches both.
            minted = await self._repeats.mint(self._store.shard_of(parent.digest), request, origin.actor, "derive")
            credential = self._within(parent.credential, wanted, origin, minted)
            if credential.expires_at <= self._clock():
                # A repeat: the token of the first try has expired by now.
                raise ended_since()
            sealed = Derived(minted.digest, self._authority.seal(minted.digest, credential))
            entry = self._audit_log.entry("token.derived", origin, credential.token_id, after=_facts(credential))
            done = await self._store.derive(parent.digest, parent.seal, credential, sealed, entry)
            if done == 1:
                self._decisions.issued.inc(DERIVED)
                made = DecodedCredential(minted.digest, credential)
                return Created(await self._shown(made, minted.secret[-8:]), minted.secret)
            if done > 1:
                return Created(await self._made_before(minted), minted.secret, repeated=True)
            if done < 0:
                raise Conflict(
                    f"A token may have {MOST_CHILDREN:,} derived ones at a time, and {MOST_BELOW:,} with those below.",
                    code="too_many_derived",
                )
        raise keeps_changing()

    async def _made_before(self, minted: Minted) -> ManagedToken:
        try:
            return await self.show(minted.secret.encode())
        except Unauthorized:
            raise ended_since() from None

    async def _read(self, secret: bytes) -> DecodedCredential:
        for digest in self._authority.digests(Kind.MANAGED, secret):
            found = await self._authority.read(digest)
            if found is not None:
                return found
        raise token_not_valid()

    def _within(self, parent: Credential, wanted: Narrowed, origin: Origin, minted: Minted) -> Credential:
        """The credential of the wanted token under this parent. Raises Forbidden."""
        if len(parent.ancestors) == MOST_LEVELS:
            raise Forbidden(f"Tokens are derived on {MOST_LEVELS} levels, and yours is on the last one.")
        bound = msgspec.structs.replace(origin, bound=parent)
        # A repeat does not begin a new life.
        now = minted.first_at or int(self._clock())
        if wanted.ttl_seconds:
            expires_at = cut_life(bound, now + wanted.ttl_seconds, now)
        else:
            # Cut and not refused, because nobody asked for that hour.
            expires_at = min(now + USUAL_SECONDS, parent.expires_at or now + USUAL_SECONDS)
        check_life(bound, expires_at)
        pooled = wanted.rate_limits is None and not wanted.max_uses
        if parent.max_uses and not pooled:
            raise Forbidden("The uses of your token are counted: what is derived shares them. Leave out the limits.")
        credential = Credential(
            minted.token_id,
            parent.subject if wanted.subject is None else wanted.subject,
            parent.scopes if wanted.scopes is None else wanted.scopes,
            now,
            expires_at,
            # It has no own name, which would have to be unique: people know it by its parent's name.
            name=parent.name,
            client=f"token:{parent.token_id}",
            networks=parent.networks if wanted.networks is None else wanted.networks,
            rate_limits=parent.rate_limits if wanted.rate_limits is None else wanted.rate_limits,
            max_uses=parent.max_uses if pooled else wanted.max_uses,
            ancestors=(*parent.ancestors, parent.token_id),
            pool=(parent.pool or parent.token_id) if pooled else "",
            # A token without a subject is charged all the same.
            charged_as=parent.charged_as or parent.subject,
        )
        check_within(parent, credential)
        return credential

    async def children(self, parent_id: str, limit: int, after: tuple[int, str] | None) -> Children:
        """At most `limit` living tokens derived directly from a token, newest first, in the form of lists.

        `after`: the creation of the last known one, in epoch microseconds, and its id.
        """
        found = sorted(await self._genuine(parent_id), key=_place)
        first = 0 if after is None else bisect(found, (-after[0], after[1]), key=_place)
        wanted, page = found[first : first + limit], list[ManagedToken]()
        for start in range(0, len(wanted), STEP):
            await give_way()
            page += await asyncio.gather(*map(self._shown, wanted[start : start + STEP]))
        return Children(page, len(found) > first + limit, len(found))

    async def show(self, secret: bytes) -> ManagedToken:
        """A derived token by its secret. Raises Unauthorized if it has ended."""
        return await self._shown(await self._read(secret), secret[-8:].decode())

    async def _shown(self, found: DecodedCredential, last_eight: str = _MASKED) -> DerivedToken:
        """The token with the uses that are left, which may be those of the token at the top."""
        _, left = await self._authority.charging.forecast(found.active, found, self._clock())
        return _as_token(found.digest, found.credential, left, last_eight)

    async def counts(self, tokens: Sequence[ManagedToken]) -> list[int]:
        """How many tokens are derived directly from each of these; see `ManagedRecords.derived`."""
        return await self._managed_records.derived([(token.token_id, token.scopes) for token in tokens])

    async def end(self, parent_id: str, origin: Origin, token_id: str = "") -> int:
        """End one token derived from another, or all, with those below. Returns how many direct ones were ended.

        They are refused from the moment this returns. Raises NotFound for an id that is not derived from it, Forbidden
        if the caller may not end it.
        """
        found = await self._genuine(parent_id)
        wanted = [one for one in found if token_id in ("", one.credential.token_id)]
        if not wanted:
            # An earlier try of the same request may have ended them.
            await self._store.confirm_ended(parent_id)
        if token_id and not wanted:
            raise NotFound("No token with this ID is derived from that one. It may have expired.")
        # All are checked before the first is ended, so that a refusal changes nothing.
        async for one in paced(wanted):
            check_end(origin, _as_token(one.digest, one.credential))
        drop, ended = self._managed_records.drop, 0
        for start in range(0, len(wanted), STEP):
            some = [(one.digest, one.credential) for one in wanted[start : start + STEP]]
            ended += sum(await asyncio.gather(*[drop(digest, of.token_id, of, origin) for digest, of in some]))
            await give_way()
        return ended

    async def _genuine(self, parent_id: str) -> list[DecodedCredential]:
        """The tokens derived directly from a token, without any that no server key of ours sealed."""
        genuine = await paced_list(starmap(self._authority.open_once, await self._store.children(parent_id)))
        # A slice, because a forged entry may be a credential without ancestors.
        return [one for one in genuine if one is not None and one.credential.ancestors[-1:] == (parent_id,)]


def _place(one: DecodedCredential) -> tuple[int, str]:
    return -one.credential.issued_at * 1_000_000, one.credential.token_id


def _facts(credential: Credential) -> dict[str, object]:
    """The fields of a derived token in an audit entry."""
    return {
        "name": credential.name,
        "parent": credential.ancestors[-1],
        "subject": credential.subject,
        "scopes": credential.scopes,
        "networks": credential.networks,
        "max_uses": credential.max_uses,
        "expires_at": credential.expires_at,
    }


def _as_token(digest: bytes, credential: Credential, uses_left: int = 0, last_eight: str = _MASKED) -> DerivedToken:
    """A derived token in the form of lists."""
    return DerivedToken(
        token_id=credential.token_id,
        name=credential.name,
        last_eight=last_eight,
        digest=digest,
        created_by=credential.client,
        created_micros=credential.issued_at * 1_000_000,
        expires_at=credential.expires_at,
        subject=credential.subject,
        scopes=credential.scopes,
        rate_limits=credential.rate_limits,
        networks=credential.networks,
        max_uses=credential.max_uses,
        uses_left=uses_left,
        pool=credential.pool,
        charged_as=credential.charged_as,
    )
