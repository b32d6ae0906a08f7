"""One-time tokens, and the replacement for the PHP generator."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response

from service.api.admin.idempotency import HEADER, key_of
from service.api.auth.callers import Callers
from service.api.http.access import ANYONE, ISSUE
from service.api.http.bodies import Json
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import Instant, rfc3339
from service.errors import Forbidden, InvalidRequest, StoreUnavailable, Unauthorized
from service.identifiers import SUBJECT
from service.model import Kind, Verdict
from service.tokens.one_time import Issued, OneTimeTokens

# The fast path also answers these paths.
PHP_PATH = "/api-v{version:int}/fastertokengenerator.php"
ISSUE_PATH = "/api/one-time-tokens"
CONSUME_PATH = f"{ISSUE_PATH}/consume"
_DATA_BYTES = 4096
Subject = Annotated[str, Meta(pattern=rf"^({SUBJECT})\Z", description="whom the token speaks for, not `-`")]

# Passed on exactly as stored. Without a type, Java generators would name a class that does not exist.
_Data = Annotated[msgspec.Raw, Meta(extra_json_schema={"type": "object"})]


class IssueOneTime(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What a one-time token is issued with; all members are optional."""

    ttl_seconds: Annotated[int, Meta(ge=1, le=3600, description="300 unless set otherwise")] | None = None
    subject: Subject | None = None
    data: Annotated[dict[str, Any], Meta(description=f"at most {_DATA_BYTES} bytes as JSON")] | None = None


class IssuedOneTime(msgspec.Struct, rename="camel"):
    """A one-time token, shown only this once."""

    token: str
    kind: str
    expires_at: Instant
    expires_in: int


class PhpToken(msgspec.Struct):
    """The answer of the PHP generator; `expiry_time` is UTC."""

    status: str
    token: str
    expiry_time: str


class PhpError(msgspec.Struct):
    """The PHP generator's answer when it fails."""

    status: str
    message: str


class Consume(msgspec.Struct, forbid_unknown_fields=True):
    """The token to spend."""

    token: str


class Consumed(msgspec.Struct, rename="camel", omit_defaults=True):
    """`valid` is true exactly once; after that the answer is only `{"valid": false}`."""

    valid: bool
    subject: str | msgspec.UnsetType | None = msgspec.UNSET
    data: _Data | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: Instant | msgspec.UnsetType = msgspec.UNSET


class OneTimeApi(OperationGroup, tag="one-time"):
    """Issues and consumes one-time tokens over HTTP. GET and HEAD never consume."""

    _tokens: OneTimeTokens
    _callers: Callers

    @Operation(
        "GET", PHP_PATH, ISSUE, "generateOneTimeToken", answers={200: PhpToken, 500: PhpError}, problems=(404, 429)
    )
    async def generate(self, call: Call) -> Response:
        """Generate a one-time token (PHP-compatible).

        Replaces the PHP generator: no body, no parameters, times in UTC.
        """
        try:
            anonymous = await self._admit(call)
            # HEAD issues nothing, and gets the length of a usual answer.
            if call.head_only:
                return generated(Issued("0" * 32, 0))
            issued = await self._tokens.issue(address=call.address, anonymous=anonymous)
        except StoreUnavailable:
            # Clients of the PHP generator know this body of a 500 and no problem document.
            return Json(PhpError("error", "Error generating token"), 500)
        return generated(issued)

    @Operation("POST", ISSUE_PATH, ISSUE, "issueOneTimeToken", status=201, body_optional=True, problems=(403, 429))
    async def issue(self, call: Call, body: IssueOneTime) -> IssuedOneTime:
        """Issue a one-time token.

        Anonymous callers may do this where TOKENS_ONE_TIME_ISSUE is open; subject and data need a known caller.
        """
        anonymous = await self._admit(call)
        if anonymous and (body.subject is not None or body.data is not None):
            raise Forbidden("Only a known caller may give subject or data: send a token as Authorization: Bearer.")
        data = msgspec.json.encode(body.data) if body.data is not None else b""
        if len(data) > _DATA_BYTES:
            raise InvalidRequest(
                f"data is larger than {_DATA_BYTES} bytes.", fields=(("data", f"larger than {_DATA_BYTES} bytes"),)
            )
        issued = await self._tokens.issue(
            address=call.address,
            anonymous=anonymous,
            ttl_seconds=body.ttl_seconds or 0,
            subject=body.subject or "",
            data=data.decode(),
        )
        expires_in = body.ttl_seconds or self._tokens.policy.ttl_seconds
        return IssuedOneTime(issued.secret, Kind.ONE_TIME.value, rfc3339(issued.expires_at), expires_in)

    async def _admit(self, call: Call) -> bool:
        """True for an anonymous issuer. Raises if the issuer must be known, or its credential is not valid."""
        try:
            await self._callers.admit(call)
        except Unauthorized as unknown:
            # A caller that sends a credential expects to be known: an invalid credential is refused, not ignored.
            if self._tokens.policy.open_to_all and not unknown.presented:
                return True
            raise
        return False

    @Operation(
        "POST",
        CONSUME_PATH,
        ANYONE,
        "consumeOneTimeToken",
        body=Consume,
        answers={200: Consumed},
        header_names=(HEADER,),
    )
    async def consume(self, call: Call) -> Response:
        """Spend a one-time token.

        Valid exactly once. With an Idempotency-Key a retry within 30 s gets the first answer.
        """
        key = key_of(call)
        wanted = await call.json(Consume)
        verdict = await self._tokens.consume(wanted.token.encode(), request=key or "")
        if (spent := verdict.accepted) is not None:
            call.token_id = spent.token_id
        return consumed(verdict)


def generated(issued: Issued) -> Json:
    """The answer of the PHP generator."""
    # The generator's clients read `Y-m-d H:i:s`, without a zone.
    return Json(PhpToken("success", issued.secret, rfc3339(issued.expires_at).replace("T", " ").rstrip("Z")))


def consumed(verdict: Verdict) -> Json:
    """The answer to a consume: `valid`, with subject and data if the token was active."""
    if (credential := verdict.accepted) is None:
        return Json(Consumed(False))
    data = msgspec.Raw(credential.data.encode()) if credential.data else None
    return Json(Consumed(True, credential.subject or None, data, rfc3339(credential.expires_at)))
