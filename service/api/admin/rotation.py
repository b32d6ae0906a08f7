"""Rotation: administrators give a token a new secret."""

from service.api.admin.idempotency import issues, repeatable
from service.api.admin.schemas.tokens import Message, RotateToken, TokenIssued
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Caller
from service.api.http.access import WRITE
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup, PathId
from service.tokens.managed.rotation import Rotation


class RotationApi(OperationGroup, tag="managed"):
    """Rotates managed tokens over HTTP."""

    _rotation: Rotation
    _views: TokenViews

    @issues(
        "/api/admin/tokens/{id}/rotate", WRITE, "rotateToken", body_optional=True, pending=True, problems=(404, 409)
    )
    async def rotate(self, call: Call, caller: Caller, token_id: PathId, body: RotateToken) -> TokenIssued:
        """Rotate a token.

        A new secret under the same id. The old one works for `overlapSeconds`, never past the token's expiry;
        one from an earlier rotation ends now. With an Idempotency-Key a repeat within ten minutes answers the
        same secret.
        """
        rotated = await self._rotation.rotate(
            token_id, caller.origin, overlap_seconds=body.overlap_seconds, request=repeatable(call, body)
        )
        call.token_id = token_id
        return await self._views.issued(rotated, "API token rotated successfully")

    @Operation("DELETE", "/api/admin/tokens/{id}/rotate", WRITE, "endOverlap", pending=True, problems=(404, 409))
    async def end_overlap(self, call: Call, caller: Caller, token_id: PathId) -> Message:
        """End a token's overlap.

        The old secret stops now, and what is derived from the token with it. Harmless where there is none.
        """
        token = await self._rotation.end_overlap(token_id, caller.origin)
        call.token_id = token.token_id
        return Message("The old secret of the API token is no longer valid")
