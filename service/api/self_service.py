"""Self-service: what the holder of a managed token may do with it, by the token itself."""

from __future__ import annotations

from starlette.responses import Response

from service.api.admin.idempotency import HEADER, repeatable
from service.api.admin.schemas.tokens import Message, RotateToken, TokenIssued, TokenShown
from service.api.admin.token_views import TokenViews, read_rotation
from service.api.auth.callers import Callers
from service.api.http.access import HOLDER, HOLDER_ROTATES
from service.api.http.call import Call, Json, Operation
from service.api.http.problems import Pending
from service.tokens.managed.revocation import Revocation
from service.tokens.managed.rotation import Rotation
from service.tokens.managed.tokens import ManagedTokens

_CREDENTIALS = ("X-API-Key", "X-Token")


class SelfServiceApi:
    """Shows, revokes and rotates the token that asks. Nothing here spends a use or a rate limit."""

    def __init__(
        self,
        tokens: ManagedTokens,
        revocation: Revocation,
        rotation: Rotation,
        views: TokenViews,
        callers: Callers,
    ) -> None:
        self._tokens = tokens
        self._revocation = revocation
        self._rotation = rotation
        self._views = views
        self._callers = callers

    def operations(self) -> list[Operation]:
        """The operations of this class."""
        path = "/api/tokens/self"
        return [
            Operation(
                method="GET",
                path=path,
                handler=self.show,
                tag="managed",
                summary="Show one's own token",
                answers={200: TokenShown},
                access=HOLDER,
                header_names=_CREDENTIALS,
            ),
            Operation(
                method="DELETE",
                path=path,
                handler=self.revoke,
                tag="managed",
                summary="Revoke one's own token",
                answers={200: Message, 202: Pending},
                access=HOLDER,
                header_names=_CREDENTIALS,
                description="For good. An old secret in its overlap may do this, too.",
            ),
            Operation(
                method="POST",
                path=path + "/rotate",
                handler=self.rotate,
                tag="managed",
                summary="Rotate one's own token",
                body=RotateToken,
                answers={201: TokenIssued, 202: Pending, 409: None},
                access=HOLDER_ROTATES,
                header_names=(*_CREDENTIALS, HEADER),
                description="Needs the present secret. Give an overlap and an "
                "Idempotency-Key: should the answer be lost, the old secret can ask again.",
            ),
        ]

    async def show(self, call: Call) -> Response:
        """The record of the token that asks."""
        holder = await self._callers.holder(call)
        return Json(await self._views.of_one(await self._tokens.get(holder.credential.token_id)))

    async def revoke(self, call: Call) -> Response:
        """Revoke the token that asks."""
        holder = await self._callers.holder(call)
        await self._revocation.revoke(holder.secret, holder.origin)
        return Json(Message("API token revoked successfully"))

    async def rotate(self, call: Call) -> Response:
        """Give the token that asks a new secret and show it, this once."""
        holder = await self._callers.holder(call)
        wanted = await read_rotation(call)
        rotated = await self._rotation.rotate(
            holder.credential.token_id,
            holder.origin,
            overlap_seconds=wanted.overlap_seconds,
            request=repeatable(call, wanted),
            holder=holder.digests,
        )
        return Json(self._views.issued(rotated, "API token rotated successfully"), 201)
