"""Rotation: administrators give a token a new secret."""

from __future__ import annotations

from starlette.responses import Response

from service.api.admin.idempotency import HEADER, repeatable
from service.api.admin.schemas.tokens import Message, RotateToken, TokenIssued
from service.api.admin.token_views import TokenViews, read_rotation
from service.api.auth.callers import Callers
from service.api.http.access import WRITE
from service.api.http.call import Call, Json, Operation
from service.api.http.problems import Pending
from service.tokens.managed.rotation import Rotation


class RotationApi:
    """Rotates managed tokens over HTTP."""

    def __init__(self, rotation: Rotation, views: TokenViews, callers: Callers) -> None:
        self._rotation = rotation
        self._views = views
        self._callers = callers

    def operations(self) -> list[Operation]:
        """The operations of this class."""
        path = "/api/admin/tokens/{id}/rotate"
        return [
            Operation(
                method="POST",
                path=path,
                handler=self.rotate,
                tag="managed",
                summary="Rotate a token",
                body=RotateToken,
                answers={201: TokenIssued, 202: Pending, 404: None, 409: None},
                access=WRITE,
                header_names=(HEADER,),
                description="A new secret under the same id. The old one works for `overlapSeconds`, never "
                "past the token's expiry; one from an earlier rotation ends now. With an "
                "Idempotency-Key a repeat within ten minutes answers the same secret.",
            ),
            Operation(
                method="DELETE",
                path=path,
                handler=self.end_overlap,
                tag="managed",
                summary="End a token's overlap",
                answers={200: Message, 202: Pending, 404: None, 409: None},
                access=WRITE,
                description="The old secret stops now. Harmless where there is none.",
            ),
        ]

    async def rotate(self, call: Call) -> Response:
        """Give a token a new secret and show it, this once."""
        caller = await self._callers.admit(call)
        wanted = await read_rotation(call)
        token_id = call.path_parameters["id"]
        rotated = await self._rotation.rotate(
            token_id, caller.origin, overlap_seconds=wanted.overlap_seconds, request=repeatable(call, wanted)
        )
        call.token_id = token_id
        return Json(self._views.issued(rotated, "API token rotated successfully"), 201)

    async def end_overlap(self, call: Call) -> Response:
        """Let the old secret stop now."""
        caller = await self._callers.admit(call)
        token = await self._rotation.end_overlap(call.path_parameters["id"], caller.origin)
        call.token_id = token.token_id
        return Json(Message("The old secret of the API token is no longer valid"))
