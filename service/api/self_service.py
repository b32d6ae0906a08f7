"""Self-service: what the holder of a managed token may do with it, by the token itself."""

from service.api.admin.idempotency import HEADER, repeatable
from service.api.admin.schemas.tokens import Message, RotateToken, TokenIssued, TokenShown
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Holder
from service.api.http.access import HOLDER, HOLDER_ROTATES
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.errors import Forbidden
from service.tokens.managed.derivation import Derivation
from service.tokens.managed.revocation import Revocation
from service.tokens.managed.rotation import Rotation
from service.tokens.managed.tokens import ManagedTokens


class SelfServiceApi(OperationGroup, tag="managed"):
    """Shows, revokes and rotates the token that asks. Nothing here spends a use or a rate limit."""

    def __init__(
        self,
        tokens: ManagedTokens,
        revocation: Revocation,
        rotation: Rotation,
        derivation: Derivation,
        views: TokenViews,
    ) -> None:
        self._tokens = tokens
        self._revocation = revocation
        self._rotation = rotation
        self._derivation = derivation
        self._views = views

    @Operation("GET", "/api/tokens/self", HOLDER, "showOwnToken")
    async def show(self, holder: Holder) -> TokenShown:
        """Show one's own token."""
        ancestors = holder.credential.ancestors
        # A derived token has no record: it is shown from its credential.
        if ancestors:
            return await self._views.of_one(await self._derivation.show(holder.secret), parent_id=ancestors[-1])
        return await self._views.of_one(await self._tokens.get(holder.credential.token_id))

    @Operation("DELETE", "/api/tokens/self", HOLDER, "revokeOwnToken", pending=True)
    async def revoke(self, holder: Holder) -> Message:
        """Revoke one's own token.

        For good. An old secret in its overlap may do this, too.
        """
        await self._revocation.revoke(holder.secret, holder.origin)
        return Message("API token revoked successfully")

    @Operation(
        "POST",
        "/api/tokens/self/rotate",
        HOLDER_ROTATES,
        "rotateOwnToken",
        status=201,
        body_optional=True,
        pending=True,
        problems=(409,),
        header_names=(HEADER,),
    )
    async def rotate(self, call: Call, holder: Holder, body: RotateToken) -> TokenIssued:
        """Rotate one's own token.

        Needs the present secret. Give an overlap and an Idempotency-Key: should the answer be lost, the old
        secret can ask again.
        """
        if holder.credential.ancestors:
            raise Forbidden("A derived token keeps its secret. Derive another one from its parent.")
        rotated = await self._rotation.rotate(
            holder.credential.token_id,
            holder.origin,
            overlap_seconds=body.overlap_seconds,
            request=repeatable(call, body),
            # The present secret alone may rotate: an old one in its overlap can only repeat a request.
            holder=holder.digests,
        )
        return await self._views.issued(rotated, "API token rotated successfully")
