"""What the OpenAPI document says besides the types: header fields, usual requests, and examples of answers, each built
from the example values of its members.
"""

from collections.abc import Mapping
from typing import Any

from service.errors import NO_ANSWER
from service.tokens.managed.records import not_found

_INSTANT = "2027-01-31T12:00:00Z"
_ID = "0123456789abcdef"
_SECRET = f"rtk_{'0' * 56}89abcdef"
# By field, or by struct and field where that one differs. Other fields get an example that fits their type.
_HOLDS: Mapping[str, Any] = {
    **dict.fromkeys(("id", "target"), _ID),
    **dict.fromkeys(("DeliveryShown.id", "AuditShown.id"), "1799409600000-0.0"),
    "token": "****-****-****-89abcdef",
    **dict.fromkeys(("IssuedOneTime.token", "PhpToken.token"), "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
    "SessionToken.token": "A" * 64,
    "WebhookCreated.secret": f"whsec_{'A' * 43}=",
    "name": "orders",
    "Check.name": "redis",
    "LimitShown.name": "default",
    "description": "for the checkout",
    "allowedNetworks": ["192.0.2.0/24"],
    **dict.fromkeys(("AccountShown.name", "subject", "username", "actor", "createdBy"), "ada"),
    "kind": "managed",
    "IssuedOneTime.kind": "one_time",
    "ReviewAnswer.kind": "TokenReview",
    "apiVersion": "authentication.k8s.io/v1",
    **dict.fromkeys(("address", "lastAddress"), "192.0.2.7"),
    "lastUserAgent": "curl/8.14.1",
    "channel": "api",
    "action": "token.created",
    "event": "token.revoked",
    "requestId": "5f0c2a9e7d1b4c38",
    "scopes": ["orders:read"],
    "date": "2027-01-31",
    "expiry_time": 1799409600,
    "PhpToken.expiry_time": "2027-01-31 12:00:00",
    "expiresIn": 300,
    "url": "https://hooks.example.com/tokens",
    "issuer": "https://tokens.example.com",
    "introspection_endpoint": "https://tokens.example.com/oauth2/introspect",
    "revocation_endpoint": "https://tokens.example.com/oauth2/revoke",
    "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    **dict.fromkeys(("outcome", "code"), "active"),
    "result": "pass",
    "check": "expired",
    "detail": "It expires on 2027-01-31 at 12:00:00 UTC.",
    "message": "Done",
    "TokenIssued.message": "API token created successfully",
    "PhpToken.status": "success",
    "PhpError.status": "error",
    "PhpError.message": "Error generating token",
    "AnswerShown.status": 200,
    "AnswerShown.body": "",
    **dict.fromkeys(("WebhookAnswer.status", "DeliveryShown.lastStatus"), 204),
    "DeliveryShown.status": "delivered",
    "Live.status": "alive",
    "Readiness.status": "ready",
    "Check.status": "ok",
    **dict.fromkeys(("Live.version", "Readiness.version"), "1.0.0"),
    "OAuthError.error": "invalid_client",
    "SkippedLine.code": "name_taken",
    "SkippedLine.message": "An earlier row or a token has this name.",
    "pending": "The change is not confirmed on disk yet.",
    **dict.fromkeys(("nextCursor", "lastError", "error", "parentId", "TokenShown.quota"), None),
    **dict.fromkeys(("disabled", "tampered", "TokenShown.imported"), False),
    "faults": [],
    "response_types_supported": [],
    "grant_types_supported": [],
    "usage14d": [0] * 13 + [7],
    "reasons": {"expired": 1},
    "expired": {"30d": 1},
    "Statistics.expired": 1,
    "exportTokens": '{"id":"0123456789abcdef","name":"orders"}\n',
    "listAuditEntries": '{"id":"1799409600000-0.0","action":"token.created"}\n',
    "showMetrics": "process_open_fds 24.0\n",
    "showDocument": {"openapi": "3.1.0"},
    "createSession": "invalid credentials",
}
_NAMED = (
    "Token 0123456789abcdef (active, made by admin) is called orders: rename or revoke it to free the name, "
    "or choose another."
)
# By the struct of the body, or by operation if its body is not a struct.
REQUESTS: Mapping[str, Any] = {
    "ChangeToken": {"id": _ID, "isActive": False},
    "ChangeWebhook": {"isActive": False},
    "Consume": {"token": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"},
    "CreateToken": {"name": "orders", "duration": "1month", "scopes": ["orders:read"]},
    "CreateWebhook": {"url": "https://hooks.example.com/tokens", "events": ["token.revoked"]},
    "DeriveToken": {"ttlSeconds": 900, "scopes": ["orders:read"]},
    "EndSession": {"token": "A" * 64},
    "EndSessions": {"username": "ada"},
    "EndTokens": {"createdBy": "ada", "dryRun": True},
    "ExplainToken": {"id": _ID, "scopes": ["orders:read"]},
    "IssueOneTime": {"ttlSeconds": 60},
    "RotateToken": {"overlapSeconds": 3600},
    "SetSubjectLimits": {
        "subject": "acme",
        "limits": [{"name": "month", "limit": 100_000, "calendar": {"unit": "month"}}],
    },
    "SignIn": {"username": "ada", "password": "correct horse"},
    "TokenReview": {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "A" * 64}},
    "ValidateBatch": {"tokens": ["A" * 64], "requiredScopes": ["orders:read"]},
    "form": {"token": "A" * 64},
    "importTokens": '{"name": "orders", "secret": "old-system-secret-1", "duration": "1year"}\n',
}
# Status to code and detail, exactly as the service answers them.
PROBLEM_EXAMPLES: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request", "The Authorization field is given twice."),
    401: ("unauthorized", "Send a token as Authorization: Bearer."),
    403: ("insufficient_scope", "This needs a token with the scope tokens:write."),
    404: ("not_found", not_found().detail),
    405: ("method_not_allowed", "Use one of: GET, HEAD."),
    408: ("request_timeout", "The request's body took too long."),
    409: ("name_taken", _NAMED),
    413: ("payload_too_large", "The body is larger than 16384 bytes."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    429: ("rate_limited", "The token's rate limit is used up."),
    431: ("head_too_large", "The request's head is larger than 16 KiB or 64 fields."),
    500: ("internal_error", "That did not work. The fault is on this side and was logged under the request id."),
    503: ("store_unavailable", NO_ANSWER),
}
_OF_PROXY = "believed from trusted proxies alone"
# Header fields of requests, then of answers.
FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("X-API-Key", "X-Token"), "the token, in place of Authorization"),
    "X-Required-Scope": "scopes, separated by blanks or commas; these and those of the query are all required",
    "X-Forwarded-For": f"the client's address; {_OF_PROXY}",
    "X-Token-Cost": f"how much of each limit the request costs, 1 to 1000, else 403 `invalid_cost`; {_OF_PROXY}",
    "X-Tokens-Retry-Key": f"an id of the request; with the same id it may be asked about again for 30 s; {_OF_PROXY}",
    **dict.fromkeys(("X-Original-URI", "X-Forwarded-Uri"), "what was asked of the gateway, perhaps with `token=`"),
    "Idempotency-Key": "chosen by you; a repeat with the same key gets the same answer",
    "X-Request-Id": "the request's own id, if it has 1 to 64 of A-Za-z0-9._-, else a new one",
    "WWW-Authenticate": "how to authenticate, and what was wrong (RFC 6750); with a 403 only where a scope is missing",
    "Retry-After": "in how many seconds to ask again; absent when a retry would not help",
    "Content-Disposition": "the name for the file, when the answer is a file",
    "X-Token-Id": "the token's id",
    **dict.fromkeys(("X-Token-Subject", "Remote-User", "X-Auth-Request-User"), "its subject, `-` for nobody"),
    "X-Token-Scopes": "the token's scopes, separated by blanks, `-` for none",
    "X-Token-Kind": "session, managed or one_time",
    "X-Token-Name": "the name of a managed token, percent-encoded",
    "RateLimit": "what is left of each limit, where there is one (IETF draft 11)",
    "RateLimit-Policy": "the limits themselves",
}
_OF_TYPE: Mapping[str, Any] = {"string": "text", "integer": 1, "number": 1, "boolean": True, "null": None}


class Examples:
    def __init__(self, components: Mapping[str, Any]) -> None:
        """`components`: the schemas by name, for references."""
        self._components = components

    def of(self, schema: Mapping[str, Any], field: str = "") -> Any:
        """A value that the schema allows. `field`: `Struct.field`, or the name of an operation."""
        if "$ref" in schema:
            return self.of(self._components[schema["$ref"].rpartition("/")[2]])
        if "allOf" in schema:
            return {name: value for part in schema["allOf"] for name, value in self.of(part, field).items()}
        if "anyOf" in schema:
            return self._held(field, schema["anyOf"][0])
        if "enum" in schema:
            return schema["enum"][0]
        if schema.get("format") == "date-time":
            return _INSTANT
        return self._held(field, schema)

    def _held(self, field: str, schema: Mapping[str, Any]) -> Any:
        for name in (field, field.rpartition(".")[2]):
            if name in _HOLDS:
                return _HOLDS[name]
        if "$ref" in schema or "format" in schema or "enum" in schema:
            return self.of(schema)
        if schema.get("type") == "array":
            return [self.of(schema["items"])]
        if schema.get("type") == "object":
            return self._struct(schema)
        return _OF_TYPE.get(schema.get("type", "null"))

    def _struct(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        title, needed = schema.get("title", ""), schema.get("required", ())
        made = {
            name: self.of(kind, f"{title}.{name}")
            for name, kind in schema.get("properties", {}).items()
            if name in needed
        }
        # An issued token is an example token with its secret shown.
        return made | {"token": made["token"] | {"token": _SECRET}} if title == "TokenIssued" else made
