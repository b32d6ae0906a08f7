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

# The earlier documentation shows the body of DELETE with a comma after its only member.
_TRAILING_COMMA = rb",\s*}\s*$"

# The fast path also answers this path.
CHECK_PATH = "/api/token"
_TEXT = {401: "text/plain"}


class SessionToken(msgspec.Struct):
    """A session token, shown only this once; `expiry_time` in epoch seconds."""

    token: str
    expiry_time: int


class SessionState(msgspec.Struct):
    """Whether a session token is valid, and its end in epoch seconds."""

    valid: bool
    expiry_time: int | None


class EndSession(msgspec.Struct):
    """The session token to end, unless the header X-Token holds it."""

    # Unknown members are accepted, because the answer is always 200.
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
        # The header first, because proxies write the query into their logs.
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

        Always 200 and {}, whatever the body; 202 if the session is ended but not confirmed.
        """
        secret = call.header(b"x-token") or await _secret_in_body(call)
        if secret:
            await self._sessions.end(secret, anonymous(call, "session"))
        return {}


async def _secret_in_body(call: Call) -> bytes:
    """The token in a body, which may be malformed."""
    try:
        body = re.sub(_TRAILING_COMMA, b"}", await call.body())
        return msgspec.json.decode(body, type=EndSession).token.strip().encode()
    # An unreadable body names no session, and the answer is 200 in any case.
    except (InvalidRequest, msgspec.DecodeError, ValueError, RecursionError):
        return b""
