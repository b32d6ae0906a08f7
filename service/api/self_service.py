"""What the holder of a managed token may do with the token itself; administrators may also end derived tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.api.admin.idempotency import issues, repeatable
from service.api.admin.schemas.creation import Id, MaxUses, Networks, Scopes, Subject, clean_networks
from service.api.admin.schemas.limits import LimitsGiven, limits_given
from service.api.admin.schemas.tokens import Message, RotateToken, TokenIssued, TokenList, TokenShown
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Caller, Holder
from service.api.http.access import HOLDER, HOLDER_DERIVES, HOLDER_ROTATES, WRITE
from service.api.http.call import PAGE, Call, Cursor, PageSize
from service.api.http.operation import Operation, OperationGroup, PathId
from service.errors import Forbidden, NotFound, token_not_valid
from service.tokens.managed.derivation import Derivation, Narrowed
from service.tokens.managed.revocation import Revocation
from service.tokens.managed.rotation import Rotation
from service.tokens.managed.tokens import ManagedTokens


class DeriveToken(LimitsGiven, forbid_unknown_fields=True, rename="camel"):
    """What a token is derived with, never wider than its parent; a missing member is taken from the parent.

    Without `ttlSeconds` it lives for an hour, or until its parent expires if that is earlier. Without limits and
    `maxUses` it draws from the limits and the uses of its parent; with any of them it is counted by itself.
    """

    ttl_seconds: Annotated[int, Meta(ge=1, le=366 * 86400)] | UnsetType = UNSET
    subject: Subject | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    allowed_networks: Networks | UnsetType = UNSET
    max_uses: MaxUses | UnsetType = UNSET


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A page of the list."""

    limit: PageSize = PAGE
    cursor: Cursor | None = None


class DerivedQuery(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Which derived tokens to end."""

    id: Annotated[Id, Meta(description="only this one; without it all")] | None = None


class SelfServiceApi(OperationGroup, tag="managed"):
    """Shows, revokes, rotates and derives from the caller's own token. Nothing here spends a use or a rate limit."""

    _tokens: ManagedTokens
    _revocation: Revocation
    _rotation: Rotation
    _derivation: Derivation
    _views: TokenViews

    @Operation("GET", "/api/tokens/self", HOLDER, "showOwnToken")
    async def show(self, holder: Holder) -> TokenShown:
        """Show one's own token."""
        ancestors = holder.credential.ancestors
        # A derived token has no stored record: it is shown from its credential.
        if ancestors:
            return await self._views.of_one(await self._derivation.show(holder.secret), parent_id=ancestors[-1])
        begun = self._views.begin(holder.credential.token_id)
        with _ended_with_its_record():
            return await self._views.of_one(await self._tokens.get(holder.credential.token_id), begun)

    @Operation("DELETE", "/api/tokens/self", HOLDER, "revokeOwnToken", pending=True)
    async def revoke(self, holder: Holder) -> Message:
        """Revoke one's own token.

        For good. An old secret in its overlap may do this too, and so may a token that has no uses left.
        """
        ended = await self._revocation.revoke(holder.secret, holder.origin)
        if not ended and await self._goes_on(holder.credential.token_id):
            raise token_not_valid()
        return Message("API token revoked successfully")

    async def _goes_on(self, token_id: str) -> bool:
        """True if a token whose secret has ended still exists: another request may have rotated it, or revoked it."""
        try:
            return not (await self._tokens.get(token_id)).revoked_at
        # A derived token has no record and is never rotated; a failover may have lost another token's record.
        except NotFound:
            return False

    @issues(
        "/api/tokens/self/rotate", HOLDER_ROTATES, "rotateOwnToken", body_optional=True, pending=True, problems=(409,)
    )
    async def rotate(self, call: Call, holder: Holder, body: RotateToken) -> TokenIssued:
        """Rotate one's own token.

        Needs the present secret. Give an overlap and an Idempotency-Key: if the answer is lost, the old secret can
        repeat the request.
        """
        if holder.credential.ancestors:
            raise Forbidden("A derived token keeps its secret. Derive another one from its parent.")
        with _ended_with_its_record():
            rotated = await self._rotation.rotate(
                holder.credential.token_id,
                holder.origin,
                overlap_seconds=body.overlap_seconds,
                request=repeatable(call, body),
                # Only the present secret may rotate: an old one in its overlap can only repeat a request.
                holder=holder.digests,
            )
        return await self._views.issued(rotated, "API token rotated successfully")

    @issues("/api/tokens/self/derive", HOLDER_DERIVES, "deriveToken", body_optional=True, problems=(409,))
    async def derive(self, call: Call, holder: Holder, body: DeriveToken) -> TokenIssued:
        """Derive a token from one's own.

        It has no more rights than its parent. It is refused from the moment a call returns that revokes, deactivates or
        rotates the parent or any token above the parent, or changes its terms. At most three levels, and 1,000 tokens
        at a time. With an Idempotency-Key a repeat within ten minutes derives nothing more and answers the same secret.
        """
        created = await self._derivation.derive(holder.secret, _narrowed(body), holder.origin, repeatable(call, body))
        call.token_id, parent_id = created.token.token_id, holder.credential.token_id
        return await self._views.issued(created, "API token derived successfully", parent_id=parent_id)

    @Operation("GET", "/api/tokens/self/derived", HOLDER, "listOwnDerivedTokens")
    async def own(self, holder: Holder, query: PageQuery) -> TokenList:
        """List the tokens derived from one's own token.

        Only living tokens that are derived directly, newest first.
        """
        return await self._views.derived(holder.credential.token_id, query.limit, query.cursor)

    @Operation("DELETE", "/api/tokens/self/derived", HOLDER, "endOwnDerivedTokens", pending=True, problems=(404,))
    async def end_own(self, holder: Holder, query: DerivedQuery) -> Message:
        """End tokens derived from one's own token.

        One by its `id`, or all, each with the tokens derived from it. They are refused from the moment this returns.
        """
        return _said(await self._derivation.end(holder.credential.token_id, holder.origin, query.id or ""))

    @Operation("DELETE", "/api/admin/tokens/{id}/derived", WRITE, "endDerivedTokens", pending=True, problems=(404,))
    async def end(self, caller: Caller, parent_id: PathId, query: DerivedQuery) -> Message:
        """End the tokens derived from a token.

        One by its `id`, or all, each with the tokens derived from it. The token itself stays.
        """
        return _said(await self._derivation.end(parent_id, caller.origin, query.id or ""))


@contextmanager
def _ended_with_its_record() -> Iterator[None]:
    """If the holder's token has gone since it was admitted, refuse this request as the next one will be refused."""
    try:
        yield
    except NotFound:
        raise token_not_valid() from None


def _narrowed(wanted: DeriveToken) -> Narrowed:
    uses = wanted.max_uses
    return Narrowed(
        0 if wanted.ttl_seconds is UNSET else wanted.ttl_seconds,
        subject=None if wanted.subject is UNSET else wanted.subject,
        scopes=None if wanted.scopes is UNSET else wanted.scopes,
        networks=None if wanted.allowed_networks is UNSET else clean_networks(wanted.allowed_networks),
        rate_limits=limits_given(wanted),
        max_uses=0 if uses is UNSET else uses,
    )


def _said(ended: int) -> Message:
    return Message(f"{ended} derived {'token' if ended == 1 else 'tokens'} ended")
