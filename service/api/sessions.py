"""Session tokens for a username and password."""

import re

import msgspec
from starlette.responses import Response

from service.api.auth.callers import SignIn, anonymous
from service.api.http.access import ANYONE
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.problems import BEARER, raw
from service.errors import InvalidRequest
from service.metrics import NO_KIND, Metrics
from service.model import Kind
from service.tokens.accounts.login import InvalidCredentials
from service.tokens.sessions import Sessions

# The old documentation prints the body of DELETE with a comma after its only member.
_TRAILING_COMMA = rb",\s*}\s*$"

# The fast path answers this one, too.
CHECK_PATH = "/api/token"
_TEXT = {401: "text/plain"}


class SessionToken(msgspec.Struct):
    """A session token, shown this once; `expiry_time` in epoch seconds."""

    token: str
    expiry_time: int


class SessionState(msgspec.Struct):
    """Whether a session token is valid, and until when in epoch seconds."""

    valid: bool
    expiry_time: int | None


class EndSession(msgspec.Struct):
    """The session token to end, unless the header X-Token has it."""

    # Unknown members are not refused: whatever is sent, the answer is 200.
    token: str = ""


class SessionApi(OperationGroup, tag="sessions"):
    """Creates, checks and deletes session tokens."""

    _sessions: Sessions
    _metrics: Metrics

    @Operation("POST", CHECK_PATH, ANYONE, "createSession", answers={401: str}, media_types=_TEXT, problems=(429,))
    async def create(self, call: Call, body: SignIn) -> SessionToken | Response:
        """Create a session token.

        401 is the text `invalid credentials`, the same for unknown names and wrong passwords.
        """
        try:
            signed_in = await self._sessions.sign_in(body.username, body.password, anonymous(call, "session"))
        except InvalidCredentials:
            return raw(401, b"invalid credentials", b"text/plain; charset=utf-8", ((b"www-authenticate", BEARER),))
        return SessionToken(signed_in.secret, signed_in.expires_at)

    @Operation("GET", CHECK_PATH, ANYONE, "checkSession", query={"token": str}, header_names=("X-Token",))
    async def check(self, call: Call) -> SessionState:
        """Validate a session token."""
        # The header before the query, which ends up in the logs of proxies.
        secret = call.header(b"x-token") or (call.parameter("token") or "").encode()
        verdict = await self._sessions.check(secret)
        self._metrics.validations.inc(Kind.SESSION if secret else NO_KIND, verdict.outcome)
        if (session := verdict.accepted) is None:
            return SessionState(False, None)
        call.token_id = session.token_id
        return SessionState(True, session.expires_at)

    @Operation(
        "DELETE",
        CHECK_PATH,
        ANYONE,
        "endSession",
        body=EndSession,
        refuses_body=False,
        body_optional=True,
        pending=True,
        header_names=("X-Token",),
    )
    async def delete(self, call: Call) -> dict[str, str]:
        """Delete a session token.

        Always 200 and {}, whatever the body; 202 for one that is ended but not confirmed.
        """
        secret = call.header(b"x-token") or await _secret_in_body(call)
        if secret:
            await self._sessions.end(secret, anonymous(call, "session"))
        return {}


async def _secret_in_body(call: Call) -> bytes:
    """The token in a body that need not be well-formed."""
    try:
        body = re.sub(_TRAILING_COMMA, b"}", await call.body())
        return msgspec.json.decode(body, type=EndSession).token.strip().encode()
    # What cannot be read names no session, and the answer is 200 whatever was sent.
    except (InvalidRequest, msgspec.DecodeError, ValueError, RecursionError):
        return b""
