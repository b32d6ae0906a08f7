"""Managed tokens, as administrators create, show, edit, revoke and rotate them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from service.api.admin.idempotency import issues, repeatable
from service.api.admin.schemas.creation import CreateToken, clean_name, clean_networks, expiry, new_token
from service.api.admin.schemas.limits import alone_given, either, to_limits
from service.api.admin.schemas.tokens import (
    ChangeToken,
    Filter,
    Message,
    RevokedQuery,
    RotateToken,
    SliceChanged,
    TokenChanged,
    TokenIssued,
    TokensChanged,
    TokenShown,
    part_of_many,
    read_slice,
    several,
)
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Caller, require
from service.api.http.access import ADMINISTER, READ, WRITE
from service.api.http.bodies import BULK_BYTES
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup, PathId
from service.api.http.timestamps import instant_or_none
from service.errors import wrong
from service.model import Origin
from service.tokens.limits import with_alone
from service.tokens.managed.bulk import Bulk
from service.tokens.managed.rotation import Rotation
from service.tokens.managed.tokens import ManagedTokens, NewToken
from service.tokens.rights import cut_life

# The fast path also answers this path.
MANAGED_PATH = "/api/admin/tokens"


class ManagedApi(OperationGroup, tag="managed"):
    """Creates, shows, changes, revokes and rotates managed tokens over HTTP."""

    _tokens: ManagedTokens
    _bulk: Bulk
    _rotation: Rotation
    _views: TokenViews
    _clock: Callable[[], float]

    @Operation("GET", "/api/admin/tokens/{id}", READ, "showToken", problems=(404,))
    async def show(self, caller: Caller, token_id: PathId) -> TokenShown:
        """Show a token."""
        begun = self._views.begin(token_id)
        return await self._views.of_one(await self._tokens.get(token_id), begun)

    @issues(MANAGED_PATH, WRITE, "createToken", problems=(409,))
    async def create(self, call: Call, caller: Caller, body: CreateToken) -> TokenIssued:
        """Create a token.

        Only this answer shows the secret. With an Idempotency-Key, a repeat within ten minutes creates nothing and
        answers the same secret. A token cannot create one with more rights than its own. A `duration` is cut at the
        caller's own expiry; one longer than the caller's whole life is 403.
        """
        created = await self._tokens.create(self._new(body, caller.origin), caller.origin, repeatable(call, body))
        call.token_id = created.token.token_id
        return await self._views.issued(created, "API token created successfully")

    def _new(self, wanted: CreateToken, origin: Origin) -> NewToken:
        now = self._clock()
        expires_at = expiry(wanted.duration, wanted.expires_at, now)
        # A date that is too late is refused and not cut, because its sender expects exactly that day.
        return new_token(wanted, cut_life(origin, expires_at, now) if wanted.duration else expires_at)

    # BULK_BYTES, because a thousand ids do not fit into an ordinary body.
    @Operation("PATCH", MANAGED_PATH, WRITE, "changeTokens", body_bytes=BULK_BYTES, pending=True, problems=(404, 409))
    async def change(
        self, call: Call, caller: Caller, body: ChangeToken
    ) -> TokenChanged | SliceChanged | TokensChanged:
        """Change tokens.

        One by `id`, several by `ids`, or all that a `filter` matches, with `expected`. A filter needs `tokens:admin`,
        as bulk revocation does, and works slice by slice: send `nextCursor` as `cursor` to continue. A token cannot
        edit or activate a token that has more rights than itself.
        """
        # Two of them together would leave open which tokens are meant, and the wrong ones could be changed.
        if sum(which is not UNSET for which in (body.id, body.ids, body.filter)) != 1:
            raise wrong("id", "give one of id, ids or filter")
        changes = _changes(body)
        if not changes:
            raise wrong("isActive", "give at least one field to change")
        if isinstance(body.id, str):
            begun = self._views.begin(body.id)
            read = body.version or 0
            token = await self._tokens.update(body.id, changes, caller.origin, call.ahead, version=read)
            call.token_id = token.token_id
            return TokenChanged(_said(changes), await self._views.of_one(token, begun))
        if body.version is not UNSET:
            raise wrong("version", "give it with an id: several tokens have one each")
        if set(changes) != {"active"}:
            raise wrong("ids", "several tokens can only be activated or deactivated: give isActive alone")
        # A filter does not name its tokens one by one, so it needs the right that bulk revocation needs.
        if body.filter is not UNSET:
            require(caller, ADMINISTER)
        return await self._change_several(body, bool(changes["active"]), caller.origin)

    async def _change_several(self, wanted: ChangeToken, active: bool, origin: Origin) -> TokensChanged:
        done = "activated" if active else "deactivated"
        if isinstance(wanted.filter, Filter):
            query = self._views.query_to_change(wanted.filter)
            return part_of_many(await self._bulk.set_active_matching(query, active, origin, read_slice(wanted)), done)
        ids = list(dict.fromkeys(wanted.ids)) if isinstance(wanted.ids, list) else []
        return several(await self._bulk.set_active(ids, active, origin), done)

    @Operation("DELETE", MANAGED_PATH, WRITE, "revokeTokens", pending=True, problems=(404, 409))
    async def revoke(self, call: Call, caller: Caller, query: RevokedQuery) -> Message | TokensChanged:
        """Revoke tokens.

        For good. They are refused from the moment this answers. A token may revoke tokens whose scopes and subject
        it has itself; with `tokens:admin` it may revoke any.
        """
        # An id that is listed twice is revoked once, and not reported as skipped.
        ids = list(dict.fromkeys(part for part in query.ids.split(",") if part))
        if bool(query.id) == bool(query.ids) or not (query.id or ids):
            raise wrong("id", "say which token to revoke: ?id=, or ?ids=a,b,c")
        if query.id:
            await self._tokens.revoke(query.id, caller.origin, call.ahead)
            call.token_id = query.id
            return Message("API token revoked successfully")
        return several(await self._bulk.revoke(ids, caller.origin), "revoked")

    @issues(
        "/api/admin/tokens/{id}/rotate", WRITE, "rotateToken", body_optional=True, pending=True, problems=(404, 409)
    )
    async def rotate(self, call: Call, caller: Caller, token_id: PathId, body: RotateToken) -> TokenIssued:
        """Rotate a token.

        Makes a new secret under the same id. The old secret works for `overlapSeconds`, but never past the token's
        expiry; a secret from an earlier rotation ends now. With an Idempotency-Key, a repeat within ten minutes
        answers the same secret.
        """
        rotated = await self._rotation.rotate(
            token_id, caller.origin, overlap_seconds=body.overlap_seconds, request=repeatable(call, body)
        )
        call.token_id = token_id
        return await self._views.issued(rotated, "API token rotated successfully")

    @Operation("DELETE", "/api/admin/tokens/{id}/rotate", WRITE, "endOverlap", pending=True, problems=(404, 409))
    async def end_overlap(self, call: Call, caller: Caller, token_id: PathId) -> Message:
        """End a token's overlap.

        The old secret ends now, and with it every token derived from this one. Harmless without an overlap.
        """
        token = await self._rotation.end_overlap(token_id, caller.origin)
        call.token_id = token.token_id
        return Message("The old secret of the API token is no longer valid")


def _changes(wanted: ChangeToken) -> dict[str, Any]:
    """The fields to change, as the record names them."""
    changes: dict[str, Any] = {
        field: value
        for field in ("description", "scopes", "metadata")
        if (value := getattr(wanted, field)) is not UNSET
    }
    if wanted.subject is not UNSET:
        # null removes the subject, as an empty text does.
        changes["subject"] = wanted.subject or ""
    if wanted.is_active is not UNSET:
        changes["active"] = wanted.is_active
    if isinstance(wanted.name, str):
        changes["name"] = clean_name(wanted.name)
    if alone := alone_given(wanted):
        changes["rate_limits"] = partial(with_alone, given=alone)
    if not isinstance(wanted.limits, msgspec.UnsetType):
        # Also when a value is null: all limits may have been given with a rate among them.
        if alone:
            raise either(next(iter(alone)))
        changes["rate_limits"] = to_limits(wanted.limits)
    if not isinstance(wanted.allowed_networks, msgspec.UnsetType):
        changes["networks"] = clean_networks(wanted.allowed_networks)
    if not isinstance(wanted.expires_at, msgspec.UnsetType):
        changes["expires_at"] = instant_or_none(wanted.expires_at, "expiresAt")
    if wanted.max_uses is not UNSET:
        changes["max_uses"] = wanted.max_uses or 0
    return changes


def _said(changes: dict[str, Any]) -> str:
    if set(changes) == {"active"}:
        return f"API token {'activated' if changes['active'] else 'deactivated'} successfully"
    return "API token updated successfully"
