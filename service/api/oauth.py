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

# The fast path also answers this path.
INTROSPECTION_PATH = "/oauth2/introspect"
_CLIENT_AUTHENTICATION = ["client_secret_basic", "client_secret_post"]
_FORM = {
    "token": "the token",
    "token_type_hint": "ignored: the token carries its kind",
    "client_id": "account name, or id of a managed token",
    "client_secret": "its password or secret",
}
# The answer must have the version of the question, or the API server ignores it.
_REVIEW_VERSIONS = ("authentication.k8s.io/v1", "authentication.k8s.io/v1beta1")


class Introspection(msgspec.Struct, omit_defaults=True):
    """RFC 7662 section 2.2. For any unusable token it is `{"active": false}` and nothing more.

    `sub` and `username` are the token's subject, absent for a token without one. `parent_jti` is the `jti` of the
    token that a derived token comes from; when that ends, the derived one ends too.
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
    # "Never" is left out with the other defaults: 0 would mean that the token expired in 1970.
    exp: int = 0


class OAuthError(msgspec.Struct, omit_defaults=True):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str = ""


class AuthorizationServer(msgspec.Struct):
    """RFC 8414. The addresses are those under which the client reaches this service."""

    issuer: str
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    # RFC 8414, 2 requires the first. Without the second, clients assume two grants. So both are given.
    response_types_supported: list[str]
    grant_types_supported: list[str]


class ReviewSpec(msgspec.Struct):
    """The token to review, and the audiences."""

    token: str = ""
    audiences: list[str] = []


class TokenReview(msgspec.Struct):
    """A review as the Kubernetes API server sends it."""

    spec: ReviewSpec
    apiVersion: str = _REVIEW_VERSIONS[0]  # noqa: N815 - Kubernetes' own name
    kind: str = "TokenReview"


class ReviewedUser(msgspec.Struct):
    """The subject of the token, in Kubernetes' terms."""

    username: str
    uid: str
    extra: dict[str, list[str]]


class ReviewStatus(msgspec.Struct, omit_defaults=True):
    """The verdict. `user` is given only for a yes, `error` only with a reason."""

    authenticated: bool
    user: ReviewedUser | UnsetType = UNSET
    audiences: list[str] = []
    error: str = ""


class ReviewAnswer(msgspec.Struct):
    """A review as the Kubernetes API server reads it."""

    apiVersion: str  # noqa: N815 - Kubernetes' own name
    kind: str
    status: ReviewStatus


def refusal(error: ServiceError) -> Response | None:
    """The refusal of RFC 6749 section 5.2 where that has a code for it; otherwise None, and the answer is a problem."""
    if isinstance(error, InvalidClient):
        # With all schemes that a client may use to authenticate.
        offered = challenge("invalid_token" if error.presented else "", basic=True)
        return Json(OAuthError("invalid_client"), 401, ((b"www-authenticate", offered),))
    if isinstance(error, InvalidRequest) and error.code == InvalidRequest.code:
        return Json(OAuthError(error.code, error.detail), 400)
    return None


# The operations that programs call with a form, and how they refuse.
_asked = partial(Operation, "POST", form=_FORM, problems=(429,), refusal=refusal)
_REFUSED = {400: OAuthError, 401: OAuthError}


class OAuthApi(OperationGroup, tag="oauth"):
    """Introspects and revokes for third parties."""

    _authority: Authority
    _revocation: Revocation
    _clients: Clients
    _address: PublicAddress
    # The Kubernetes audiences that tokens are for; empty leaves the decision to the API server.
    _audiences: Collection[str]

    @_asked(INTROSPECTION_PATH, INTROSPECT, "introspectToken", answers={200: Introspection, **_REFUSED})
    async def introspect(self, call: Call) -> Response:
        """Introspect a token (RFC 7662).

        Nothing is spent or counted, and `allowedNetworks` are not evaluated.
        """
        # RFC 7662 section 2.2: 200 and {"active": false} for any unusable token, whatever the defect. A reason would
        # reveal that the secret was once valid. The form is read before the client is admitted, because it may hold the
        # client's name and secret.
        form = await call.form()
        await self._clients.admit(call, form)
        verdict = await self._authority.peek(_token_of(form), tuple(Kind))
        return Json(claims_of(verdict))

    @_asked("/oauth2/revoke", REVOKE, "revokeToken", answers={200: None, **_REFUSED})
    async def revoke(self, call: Call) -> Response:
        """Revoke a token (RFC 7009).

        Without a client secret the token itself is proof enough. After the answer no later change makes it valid again,
        whatever its state was; this includes one-time tokens. A managed token ends completely, also when an old secret
        in its overlap is sent; an old secret after its overlap has ended and ends nothing else. 503 `pending`: the
        token is refused from now on, but not confirmed as TOKENS_DURABILITY asks; send the request again.
        """
        # RFC 7009 section 2.2: 200 whether the token existed or not, because the client could not act on the
        # difference. A client would read 202 as success, so an unconfirmed end is 503 (2.2.1); a repeat is safe.
        form = await call.form()
        origin = anonymous(call, "oauth")
        # A client_id alone names a public client (RFC 6749, 2.1), which has nothing to prove.
        if call.header(b"authorization") or form.get("client_secret"):
            origin = await self._clients.admit(call, form)
        # Stripped: a token from a file may have a line end, and a 200 that ended nothing would be taken as its end.
        await self._revocation.revoke(_token_of(form).strip(), origin)
        return Json(b"")

    @Operation("GET", METADATA, ANYONE, "showServerMetadata")
    async def metadata(self, call: Call) -> AuthorizationServer:
        """Authorization server metadata (RFC 8414)."""
        base, methods = str(self._address.of(call)), _CLIENT_AUTHENTICATION
        # `none` means a public client (RFC 7591, 2), which may revoke a token that it holds.
        introspect, revoke = f"{base}/oauth2/introspect", f"{base}/oauth2/revoke"
        return AuthorizationServer(base, introspect, methods, revoke, [*methods, "none"], [], [])

    # Without Retry-After: with it the API server's client retried 55 times for one token.
    @Operation(
        "POST", "/k8s/tokenreview", INTROSPECT, "reviewToken", body=TokenReview, problems=(429,), retry_after=False
    )
    async def review(self, call: Call) -> ReviewAnswer:
        """Kubernetes TokenReview.

        The user is the token's subject; a token without one is not authenticated. The answer has the audiences of the
        review that TOKENS_KUBERNETES_AUDIENCES lists; a review for others alone is not authenticated. If either has
        none, the answer has no audiences, which Kubernetes reads as the API server's own.
        """
        # An unusable token is 200 and `authenticated: false`: to the API server any other status is a failed webhook.
        await self._clients.admit(call)
        review = await call.json(TokenReview)
        if review.apiVersion not in _REVIEW_VERSIONS:
            raise InvalidRequest("apiVersion must be authentication.k8s.io/v1 or v1beta1.")
        verdict = await self._authority.peek(review.spec.token.encode(), (Kind.SESSION, Kind.MANAGED))
        # The requested audiences are never simply echoed. An answer without audiences means the API server's own.
        asked = review.spec.audiences if self._audiences else []
        audiences = [audience for audience in asked if audience in self._audiences]
        if (credential := verdict.accepted) is None:
            status = ReviewStatus(False)
        elif not credential.subject:
            # Without a subject Kubernetes would accept a user without a name as `system:authenticated`.
            status = ReviewStatus(False, error="The token has no subject, so there is no user to name.")
        elif asked and not audiences:
            status = ReviewStatus(False, error="The token is for none of these audiences.")
        else:
            # The token's id as `uid`, because a name may be given to another token later, an id never.
            user = ReviewedUser(credential.subject, credential.token_id, {"scopes": list(credential.scopes)})
            status = ReviewStatus(True, user, audiences)
        return ReviewAnswer(review.apiVersion, "TokenReview", status)


def claims_of(verdict: Verdict) -> Introspection:
    """All claims of an active token; for any other only that it is not active."""
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
