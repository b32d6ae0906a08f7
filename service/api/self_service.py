"""Self-service: what the holder of a managed token may do with it, by the token itself."""

from starlette.responses import Response

from service.api.admin.idempotency import HEADER, repeatable
from service.api.admin.schemas.tokens import Message, RotateToken, TokenIssued, TokenShown
from service.api.admin.token_views import TokenViews, read_rotation
from service.api.auth.callers import Callers
from service.api.http.access import HOLDER, HOLDER_ROTATES
from service.api.http.call import Call, Json, Operation, OperationGroup
from service.api.http.problems import Pending
from service.errors import Forbidden
from service.tokens.managed.derivation import Derivation
from service.tokens.managed.revocation import Revocation
from service.tokens.managed.rotation import Rotation
from service.tokens.managed.tokens import ManagedTokens

_CREDENTIALS = ("X-API-Key", "X-Token")


class SelfServiceApi(OperationGroup):
    """Shows, revokes and rotates the token that asks. Nothing here spends a use or a rate limit."""

    def __init__(
        self,
        tokens: ManagedTokens,
        revocation: Revocation,
        rotation: Rotation,
        derivation: Derivation,
        views: TokenViews,
        callers: Callers,
    ) -> None:
        self._tokens = tokens
        self._revocation = revocation
        self._rotation = rotation
        self._derivation = derivation
        self._views = views
        self._callers = callers

    @Operation(
        "GET",
        "/api/tokens/self",
        HOLDER,
        "managed",
        "showOwnToken",
        answers={200: TokenShown},
        header_names=_CREDENTIALS,
    )
    async def show(self, call: Call) -> Response:
        """Show one's own token."""
        holder = await self._callers.holder(call)
        ancestors = holder.credential.ancestors
        if ancestors:
            return Json(await self._views.of_one(await self._derivation.show(holder.secret), parent_id=ancestors[-1]))
        return Json(await self._views.of_one(await self._tokens.get(holder.credential.token_id)))

    @Operation(
        "DELETE",
        "/api/tokens/self",
        HOLDER,
        "managed",
        "revokeOwnToken",
        answers={200: Message, 202: Pending},
        header_names=_CREDENTIALS,
    )
    async def revoke(self, call: Call) -> Response:
        """Revoke one's own token.

        For good. An old secret in its overlap may do this, too.
        """
        holder = await self._callers.holder(call)
        await self._revocation.revoke(holder.secret, holder.origin)
        return Json(Message("API token revoked successfully"))

    @Operation(
        "POST",
        "/api/tokens/self/rotate",
        HOLDER_ROTATES,
        "managed",
        "rotateOwnToken",
        body=RotateToken,
        example={"overlapSeconds": 3600},
        answers={201: TokenIssued, 202: Pending, 409: None},
        header_names=(*_CREDENTIALS, HEADER),
    )
    async def rotate(self, call: Call) -> Response:
        """Rotate one's own token.

        Needs the present secret. Give an overlap and an Idempotency-Key: should the answer be lost, the old
        secret can ask again.
        """
        holder = await self._callers.holder(call)
        if holder.credential.ancestors:
            raise Forbidden("A derived token keeps its secret. Derive another one from its parent.")
        wanted = await read_rotation(call)
        rotated = await self._rotation.rotate(
            holder.credential.token_id,
            holder.origin,
            overlap_seconds=wanted.overlap_seconds,
            request=repeatable(call, wanted),
            holder=holder.digests,
        )
        return Json(await self._views.issued(rotated, "API token rotated successfully"), 201)
