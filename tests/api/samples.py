"""One request for every operation of the service, and what is known of each: the matrix of refusals is made of it."""

from collections.abc import Mapping
from typing import Any

import msgspec

NOBODY = "0" * 16


class Sample(msgspec.Struct, frozen=True):
    """A request that only its credential or the state of the service could make fail.

    `needs` says who may ask, in the words of `test_access.py`, nothing everyone. `scope` is the scope that opens it.
    `without_redis` is the status without Redis, `limit` the largest body; what `takes_anything` answers 200 to a body
    that cannot be read.
    """

    method: str
    template: str
    target: str = ""
    json_body: Any = None
    form: Mapping[str, str] | None = None
    lines: str = ""
    takes_anything: bool = False
    needs: str = ""
    scope: str = ""
    without_redis: int = 503
    limit: int = 16384

    @property
    def path(self) -> str:
        return self.target or self.template

    @property
    def has_body(self) -> bool:
        return bool(self.media_type)

    @property
    def media_type(self) -> str:
        if self.json_body is not None:
            return "application/json"
        if self.form is not None:
            return "application/x-www-form-urlencoded"
        return "application/x-ndjson" if self.lines else ""

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def _read(template: str, target: str = "") -> Sample:
    return Sample("GET", template, target, needs="read", scope="tokens:read")


def _write(method: str, template: str, body: Any = None, target: str = "", limit: int = 16384) -> Sample:
    return Sample(method, template, target, json_body=body, needs="write", scope="tokens:write", limit=limit)


def _admin(method: str, template: str, body: Any = None, target: str = "") -> Sample:
    return Sample(method, template, target, json_body=body, needs="admin", scope="tokens:admin")


def _gateway(template: str, target: str = "") -> list[Sample]:
    needs = "one-time gateway" if "one-time" in template else "gateway"
    return [Sample(method, template, target, needs=needs) for method in ("GET", "POST")]


_TOKENS = "/api/admin/tokens"
_ONE = f"{_TOKENS}/{NOBODY}"
_HOOKS = "/api/admin/webhooks"
SAMPLES = (
    Sample(
        "GET",
        "/api-v{version}/fastertokengenerator.php",
        "/api-v1/fastertokengenerator.php",
        needs="issue",
        scope="one-time:issue",
        without_redis=500,
    ),
    Sample("POST", "/api/one-time-tokens", json_body={}, needs="issue", scope="one-time:issue"),
    Sample("POST", "/api/one-time-tokens/consume", json_body={"token": "0" * 32}),
    Sample("POST", "/api/token", json_body={"username": "nobody", "password": "x"}),
    Sample("GET", "/api/token", "/api/token?token=" + "A" * 64),
    Sample("DELETE", "/api/token", json_body={"token": "A" * 64}, takes_anything=True),
    _read(_TOKENS),
    _write("POST", _TOKENS, {"name": "sample", "duration": "7days"}),
    _write("PATCH", _TOKENS, {"id": NOBODY, "isActive": False}, limit=1 << 20),
    _write("DELETE", _TOKENS, target=f"{_TOKENS}?id={NOBODY}"),
    Sample(
        "POST", f"{_TOKENS}/explain", json_body={"token": "x"}, needs="read", scope="tokens:read", without_redis=503
    ),
    _read(f"{_TOKENS}/stats"),
    _read(f"{_TOKENS}/{{id}}", _ONE),
    _write("DELETE", f"{_TOKENS}/{{id}}/derived", target=f"{_ONE}/derived"),
    _read(f"{_TOKENS}/{{id}}/usage", f"{_ONE}/usage?days=3"),
    _write("POST", f"{_TOKENS}/{{id}}/rotate", {"overlapSeconds": 0}, f"{_ONE}/rotate"),
    _write("DELETE", f"{_TOKENS}/{{id}}/rotate", target=f"{_ONE}/rotate"),
    _admin("POST", f"{_TOKENS}/revoke", {"createdBy": "nobody", "dryRun": True}),
    _admin("POST", f"{_TOKENS}/deactivate", {"createdBy": "nobody", "dryRun": True}),
    _read("/api/admin/subject-limits"),
    _admin("PUT", "/api/admin/subject-limits", {"subject": "a", "limits": [{"limit": 1, "periodSeconds": 1}]}),
    _admin("DELETE", "/api/admin/subject-limits", target="/api/admin/subject-limits?subject=nobody"),
    _admin("POST", "/api/admin/sessions/revoke", {"username": "nobody"}),
    Sample("GET", "/api/admin/sessions", needs="webhooks", scope="tokens:admin"),
    Sample("GET", "/api/admin/accounts", needs="webhooks", scope="tokens:admin", without_redis=503),
    _read("/api/admin/usage"),
    _read("/api/admin/audit"),
    _read("/api/admin/audit/verification"),
    _read(f"{_TOKENS}/hygiene"),
    Sample("GET", _HOOKS, needs="webhooks", scope="tokens:admin"),
    Sample(
        "GET", f"{_HOOKS}/{{id}}/deliveries", f"{_HOOKS}/{NOBODY}/deliveries", needs="webhooks", scope="tokens:admin"
    ),
    _admin("POST", f"{_HOOKS}/{{id}}/test", target=f"{_HOOKS}/{NOBODY}/test"),
    _admin("PATCH", f"{_HOOKS}/{{id}}", {"isActive": False}, f"{_HOOKS}/{NOBODY}"),
    _admin("POST", f"{_HOOKS}/{{id}}/rotate", {"overlapSeconds": 60}, f"{_HOOKS}/{NOBODY}/rotate"),
    _admin(
        "POST",
        f"{_HOOKS}/{{id}}/deliveries/{{delivery}}/send",
        target=f"{_HOOKS}/{NOBODY}/deliveries/{NOBODY}/send",
    ),
    _admin("POST", "/api/admin/confirm-reset"),
    _admin("POST", _HOOKS, {"url": "https://127.0.0.1/", "events": ["token.created"]}),
    _admin("DELETE", _HOOKS, target=f"{_HOOKS}?id={NOBODY}"),
    Sample("GET", f"{_TOKENS}/export", needs="person"),
    Sample(
        "POST",
        f"{_TOKENS}/import",
        f"{_TOKENS}/import?dryRun=true",
        lines='{"name":"x"}',
        needs="admin",
        scope="tokens:admin",
        limit=1 << 20,
        takes_anything=True,
    ),
    Sample("GET", "/api/tokens/self", needs="holder"),
    Sample("DELETE", "/api/tokens/self", needs="holder"),
    Sample("POST", "/api/tokens/self/rotate", json_body={}, needs="rotating holder", scope="self:rotate"),
    Sample("POST", "/api/tokens/self/derive", json_body={}, needs="deriving holder", scope="self:derive"),
    Sample("GET", "/api/tokens/self/derived", needs="holder"),
    Sample("DELETE", "/api/tokens/self/derived", needs="holder"),
    *_gateway("/validate"),
    *_gateway("/validate/envoy/{anything}", "/validate/envoy/some/thing"),
    *_gateway("/validate/one-time"),
    *_gateway("/validate/one-time/envoy/{anything}", "/validate/one-time/envoy/some/thing"),
    Sample("POST", "/validate/batch", json_body={"tokens": ["x"]}, needs="client", scope="introspect"),
    Sample("POST", "/oauth2/introspect", form={"token": "x"}, needs="client", scope="introspect"),
    Sample("POST", "/oauth2/revoke", form={"token": "A" * 64}, needs="revoking client", scope="revoke"),
    Sample("GET", "/.well-known/oauth-authorization-server", without_redis=200),
    Sample("POST", "/k8s/tokenreview", json_body={"spec": {"token": "x"}}, needs="client", scope="introspect"),
    Sample("GET", "/livez", without_redis=200),
    Sample("GET", "/readyz"),
    Sample("GET", "/healthz"),
    Sample("GET", "/openapi.json", without_redis=200),
    Sample("GET", "/metrics", without_redis=200),
)
