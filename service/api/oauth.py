"""OAuth 2.0 introspection (RFC 7662), revocation (RFC 7009), metadata (RFC 8414), Kubernetes reviews."""

from collections.abc import Collection, Mapping
from functools import partial

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from service.api.auth.callers import anonymous
from service.api.auth.clients import Clients, InvalidClient
from service.api.http.access import ANYONE, INTROSPECT, REVOKE
from service.api.http.bodies import Json
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.problems import challenge
from service.api.http.public_address import METADATA, PublicAddress
from service.errors import InvalidRequest, ServiceError
from service.model import Kind, Verdict
from service.tokens.authority import Authority
from service.tokens.managed.revocation import Revocation

# The fast path answers this one, too.
INTROSPECTION_PATH = "/oauth2/introspect"
_CLIENT_AUTHENTICATION = ["client_secret_basic", "client_secret_post"]
_FORM = {
    "token": "the token",
    "token_type_hint": "ignored: the token carries its kind",
    "client_id": "account name, or id of a managed token",
    "client_secret": "its password or secret",
}
# An answer has the version of its question, or the API server does not read it.
_REVIEW_VERSIONS = ("authentication.k8s.io/v1", "authentication.k8s.io/v1beta1")


class Introspection(msgspec.Struct, omit_defaults=True):
    """RFC 7662 section 2.2; anything unusable is `{"active": false}` and nothing more.

    `sub` and `username` are the token's subject, absent for a token that speaks for nobody. `parent_jti` is the `jti`
    of the token that a derived one comes from, and ends with.
    """

    active: bool
    scope: str = ""
    client_id: str = ""
    username: str = ""
    sub: str = ""
    jti: str = ""
    parent_jti: str = ""
    token_type: str = ""
    iat: int = 0
    # Never is left out with the other defaults: 1970 would say that it has expired.
    exp: int = 0


class OAuthError(msgspec.Struct, omit_defaults=True):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str = ""


class AuthorizationServer(msgspec.Struct):
    """RFC 8414, with the addresses that clients reach this service under."""

    issuer: str
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    # RFC 8414, 2 requires the first, and clients assume two grants where the second is left out: so both are said.
    response_types_supported: list[str]
    grant_types_supported: list[str]


class ReviewSpec(msgspec.Struct):
    """What is reviewed."""

    token: str = ""
    audiences: list[str] = []


class TokenReview(msgspec.Struct):
    """A review as the API server asks for it."""

    spec: ReviewSpec
    apiVersion: str = _REVIEW_VERSIONS[0]  # noqa: N815 - Kubernetes' own name
    kind: str = "TokenReview"


class ReviewedUser(msgspec.Struct):
    """Who the token speaks for, in the words of Kubernetes."""

    username: str
    uid: str
    extra: dict[str, list[str]]


class ReviewStatus(msgspec.Struct, omit_defaults=True):
    """The verdict; `user` only where it is yes, `error` where it says why not."""

    authenticated: bool
    user: ReviewedUser | UnsetType = UNSET
    audiences: list[str] = []
    error: str = ""


class ReviewAnswer(msgspec.Struct):
    """A review as the API server reads it."""

    apiVersion: str  # noqa: N815 - Kubernetes' own name
    kind: str
    status: ReviewStatus


def refusal(error: ServiceError) -> Response | None:
    """The answer where RFC 6749 section 5.2 has a word for it; any other is a problem, as everywhere."""
    if isinstance(error, InvalidClient):
        # With the schemes that a client may authenticate by.
        offered = challenge("invalid_token" if error.presented else "", basic=True)
        return Json(OAuthError("invalid_client"), 401, ((b"www-authenticate", offered),))
    if isinstance(error, InvalidRequest) and error.code == InvalidRequest.code:
        return Json(OAuthError(error.code, error.detail), 400)
    return None


# What a program asks with a form, and how it is refused.
_asked = partial(Operation, "POST", form=_FORM, problems=(429,), refusal=refusal)
_REFUSED = {400: OAuthError, 401: OAuthError}


class OAuthApi(OperationGroup, tag="oauth"):
    """Introspects and revokes for third parties."""

    _authority: Authority
    _revocation: Revocation
    _clients: Clients
    _address: PublicAddress
    # Which of Kubernetes' audiences tokens are for; none leaves that to the API server.
    _audiences: Collection[str]

    @_asked(INTROSPECTION_PATH, INTROSPECT, "introspectToken", answers={200: Introspection, **_REFUSED})
    async def introspect(self, call: Call) -> Response:
        """Introspect a token (RFC 7662).

        Nothing is spent or counted, and `allowedNetworks` are not evaluated.
        """
        # RFC 7662 section 2.2: 200 and {"active": false} for any unusable token, whatever the defect. A reason would
        # tell whoever asks about a secret that it was good once.
        # Read before the client is admitted, who may name itself in it.
        form = await call.form()
        await self._clients.admit(call, form)
        verdict = await self._authority.peek(_token_of(form), tuple(Kind))
        return Json(claims_of(verdict))

    @_asked("/oauth2/revoke", REVOKE, "revokeToken", answers={200: None, **_REFUSED})
    async def revoke(self, call: Call) -> Response:
        """Revoke a token (RFC 7009).

        Without a client secret the token itself is proof enough. After the answer no later change makes it good
        again, in whatever state it was, one-time tokens too. A managed token ends whole, also by an old secret
        in its overlap; an old secret after its overlap is over already and ends nothing else. 503 `pending`: it
        is refused from now on, but that is not confirmed as TOKENS_DURABILITY asks; send it again.
        """
        # RFC 7009 section 2.2: 200 whether the token existed or not; the client could do nothing about it. A 202 would
        # read as success there; where the end is not confirmed it is 503 (2.2.1), and asking again is safe.
        form = await call.form()
        origin = anonymous(call, "oauth")
        # A client_id alone names a public client (RFC 6749, 2.1), which proves nothing and is asked for nothing.
        if call.header(b"authorization") or form.get("client_secret"):
            origin = await self._clients.admit(call, form)
        # Of a file, say, with the end of its line: a 200 that ended nothing would be taken for the end of the token.
        await self._revocation.revoke(_token_of(form).strip(), origin)
        return Json(b"")

    @Operation("GET", METADATA, ANYONE, "showServerMetadata")
    async def metadata(self, call: Call) -> AuthorizationServer:
        """Authorization server metadata (RFC 8414)."""
        base, methods = str(self._address.of(call)), _CLIENT_AUTHENTICATION
        # `none` is a public client (RFC 7591, 2), who may revoke the token that it holds.
        introspect, revoke = f"{base}/oauth2/introspect", f"{base}/oauth2/revoke"
        return AuthorizationServer(base, introspect, methods, revoke, [*methods, "none"], [], [])

    # Without Retry-After: with one the API server's client asked 55 times about one token.
    @Operation(
        "POST", "/k8s/tokenreview", INTROSPECT, "reviewToken", body=TokenReview, problems=(429,), retry_after=False
    )
    async def review(self, call: Call) -> ReviewAnswer:
        """Kubernetes TokenReview.

        The user is the token's subject; a token without one is not authenticated. The audiences are those of
        TOKENS_KUBERNETES_AUDIENCES that were asked for, and where there is none it is not authenticated. None at all
        stands for the API server's own, as for every authenticator that knows none.
        """
        # A bad token is 200 with `authenticated: false`: the API server takes any other status for a failed webhook.
        await self._clients.admit(call)
        review = await call.json(TokenReview)
        if review.apiVersion not in _REVIEW_VERSIONS:
            raise InvalidRequest("apiVersion must be authentication.k8s.io/v1 or v1beta1.")
        verdict = await self._authority.peek(review.spec.token.encode(), (Kind.SESSION, Kind.MANAGED))
        # No audiences in an answer mean the API server's own, so what was asked is never simply echoed.
        asked = review.spec.audiences if self._audiences else []
        audiences = [audience for audience in asked if audience in self._audiences]
        if (credential := verdict.accepted) is None:
            status = ReviewStatus(False)
        elif not credential.subject:
            # Kubernetes would take a user without a name for one of `system:authenticated`.
            status = ReviewStatus(False, error="The token has no subject, so there is no user to name.")
        elif asked and not audiences:
            status = ReviewStatus(False, error="The token is for none of these audiences.")
        else:
            # The id of the token as `uid`: names may be given again, ids are not.
            user = ReviewedUser(credential.subject, credential.token_id, {"scopes": list(credential.scopes)})
            status = ReviewStatus(True, user, audiences)
        return ReviewAnswer(review.apiVersion, "TokenReview", status)


def claims_of(verdict: Verdict) -> Introspection:
    """What is told of a token: everything while it is active, else nothing more than that it is not."""
    if (credential := verdict.accepted) is None:
        return Introspection(False)
    return Introspection(
        True,
        scope=" ".join(credential.scopes),
        client_id=credential.client or credential.subject,
        username=credential.subject,
        sub=credential.subject,
        jti=credential.token_id,
        parent_jti="".join(credential.ancestors[-1:]),
        token_type="Bearer",  # noqa: S106 - RFC 6750's word, no secret
        iat=credential.issued_at,
        exp=credential.expires_at,
    )


def _token_of(form: Mapping[str, str]) -> bytes:
    if "token" not in form:
        raise InvalidRequest("token is missing")
    return form["token"].encode()
