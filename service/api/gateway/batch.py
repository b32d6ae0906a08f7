"""Validates up to 100 tokens at once, without spending or counting any use."""

from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from service.api.auth.clients import Clients
from service.api.http.access import INTROSPECT
from service.api.http.bodies import Json
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import Instant, rfc3339_or_none
from service.model import Outcome, Scope, Verdict
from service.tokens.batch import Batch, Known
from service.tokens.credential import DecodedCredential

_REMEMBERED = 4096
# Without the outcomes that cannot occur here.
_CODES = [one for one in Outcome if one not in (Outcome.ABSENT, Outcome.NETWORK_DENIED, Outcome.UNAVAILABLE)]


class ValidateBatch(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Up to 100 secrets of any kind, and the scopes each must have."""

    tokens: Annotated[list[str], Meta(min_length=1, max_length=100)]
    required_scopes: Annotated[tuple[Scope, ...], Meta(max_length=50)] = ()


class BatchResult(msgspec.Struct, rename="camel"):
    """What is known of one secret. For an inactive one everything except `active` and `code` is null."""

    active: bool
    id: str | None
    kind: str | None
    subject: str | None
    scopes: tuple[str, ...] | None
    expires_at: Instant | None
    code: Annotated[str, Meta(description=", ".join(_CODES))]


class BatchResults(msgspec.Struct):
    """The results in the order of the secrets."""

    results: list[BatchResult]


class BatchApi(OperationGroup, tag="gateway"):
    """Answers POST /validate/batch."""

    _batch: Batch
    _clients: Clients

    @Operation(
        "POST",
        "/validate/batch",
        INTROSPECT,
        "validateBatch",
        body=ValidateBatch,
        answers={200: BatchResults},
        problems=(429,),
    )
    async def batch(self, call: Call) -> Response:
        """Check up to 100 tokens.

        All tokens are checked together. Nothing is spent or counted, and `allowedNetworks` are not evaluated.
        """
        await self._clients.admit(call)
        wanted = await call.json(ValidateBatch)
        known = await self._batch.peek(wanted.tokens, wanted.required_scopes)
        # Built by hand: `_told` remembers the encoded bytes of a record, so no batch encodes them again.
        return Json(b'{"results":[%b]}' % b",".join([_told(one) for one in known]))


@lru_cache(_REMEMBERED)
def _told(known: Known) -> bytes:
    """The JSON for one secret, remembered for each record and for each verdict without a record."""
    return msgspec.json.encode(_result(known.active if isinstance(known, DecodedCredential) else known))


def _result(verdict: Verdict) -> BatchResult:
    code = verdict.outcome.value
    if (credential := verdict.accepted) is None:
        return BatchResult(False, None, None, None, None, None, code)
    expires_at = rfc3339_or_none(credential.expires_at)
    token_id, kind, subject = credential.token_id, credential.kind.value, credential.subject or None
    return BatchResult(True, token_id, kind, subject, credential.scopes, expires_at, code)
