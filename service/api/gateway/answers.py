"""The gateway's question and its answer: what a request asks for, and how a verdict appears on the wire.

The ordinary route and the fast path of /validate both use these functions for the input of the decision and for the
bytes of the answer.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qs, quote

from service.api.http.bodies import NO_STORE
from service.api.http.call import Headers
from service.api.http.problems import challenge, problem_body
from service.api.http.proxies import TrustedProxies
from service.errors import NO_ANSWER, InvalidRequest
from service.identifiers import REQUEST_KEY
from service.model import KIND_MANAGED, Credential, Kind, Outcome, Quota, RateLimit, Verdict

# The percent sign is encoded too, so that every value can be decoded the same way.
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
_AS_IT_IS = re.compile(r"[!-$&-~]+")
_COST = re.compile(rb"[1-9]\d{0,2}|1000")
REQUEST_ID = b"x-request-id: "
_KINDS = {kind: kind.value for kind in Kind}
# The characters that `quote` leaves unchanged, and the space.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.~ -]*")
_PROBLEM = (b"content-type", b"application/problem+json")


def lines_of(headers: Headers) -> bytes:
    """Headers in the form they have on the wire."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


class Answer(NamedTuple):
    """The answer on the wire, except the request id and the server's own headers."""

    status: int
    headers: Headers
    body: bytes


ABSENT = Verdict(Outcome.ABSENT)
UNAVAILABLE = Verdict(Outcome.UNAVAILABLE)


def retried_request(headers: Headers, client: tuple[str, int] | None, trusted: TrustedProxies) -> str:
    """The retry key that a trusted gateway gave the request it asks about; empty if there is none.

    `client` is the peer of the connection. Only a trusted proxy is believed. Two keys count as none, because one may
    be the client's own: whoever chooses the key of two requests could use a one-time token twice.
    """
    keys = [value for name, value in headers if name == b"x-tokens-retry-key"]
    if len(keys) != 1 or not trusted.trusts(client[0] if client else ""):
        return ""
    key = keys[0].decode("latin-1")
    # The line end keeps it different from any Idempotency-Key: no client can repeat a gateway's question by its key.
    return f"gateway\n{key}" if REQUEST_KEY.fullmatch(key) else ""


def request_cost(headers: Headers, client: tuple[str, int] | None, trusted: TrustedProxies) -> int:
    """How much of its token's rate limits a request costs, as a trusted gateway says; 1 if it says nothing.

    Raises InvalidRequest `invalid_cost` unless it is one whole number from 1 to 1,000. Its status is 403, because
    gateways report other statuses as their own failure.
    """
    costs = [value for name, value in headers if name == b"x-token-cost"]
    if not costs or not trusted.trusts(client[0] if client else ""):
        return 1
    if len(costs) > 1 or not _COST.fullmatch(costs[0]):
        reason = "write one whole number from 1 to 1000"
        raise InvalidRequest(f"X-Token-Cost: {reason}.", fields=(("X-Token-Cost", reason),), code="invalid_cost")
    return int(costs[0])


def required_scopes(query: bytes, headers: Headers) -> tuple[str, ...]:
    """The scopes asked for by `required_scope` in the query, and by X-Required-Scope in addition."""
    scopes: list[str] = []
    if query:
        for wanted in parse_qs(query.decode("latin-1"), keep_blank_values=True).get("required_scope", []):
            # An empty scope, as a gateway's unset variable makes one, must not mean that no scope is required.
            scopes += wanted.split() or [""]
    for name, value in headers:
        if name == b"x-required-scope":
            scopes += value.decode("latin-1").replace(",", " ").split()
    return tuple(dict.fromkeys(scopes))


def answer(verdict: Verdict, request_id: str, *, basic: bool = False) -> Answer:
    """The gateway's answer to a verdict: 200 with an empty body, or a problem. `basic` offers that scheme in a 401."""
    outcome, quotas = verdict.outcome, verdict.quotas
    if verdict.credential is not None and outcome is Outcome.ACTIVE:
        # What changes with each answer comes first; the rest is cached (`allowed_lines`).
        return Answer(200, quota_headers(quotas) + allowed_headers(verdict.credential, _limits_of(quotas)), b"")
    if outcome is Outcome.ABSENT:
        return _problem(401, "unauthorized", "No token was presented.", request_id, challenge(basic=basic))
    if outcome is Outcome.INSUFFICIENT_SCOPE:
        # The scope stands in a quoted string of the challenge, and its sender may write any text.
        scopes = [scope if _is_scope(scope) else "invalid" for scope in verdict.missing_scopes]
        detail = f"The token lacks the scope {' '.join(scopes)}."
        if scopes != list(verdict.missing_scopes):
            detail = "A scope that is asked for is malformed: no token has it."
        return _problem(403, outcome.value, detail, request_id, challenge("insufficient_scope", scopes))
    if outcome is Outcome.NETWORK_DENIED:
        return _problem(403, outcome.value, "The token may not be used from this address.", request_id)
    if outcome is Outcome.RATE_LIMITED and verdict.credential is not None:
        wait = verdict.retry_after
        detail = "The token's rate limit is used up." if wait else "The request costs more than its limit ever admits."
        refused = _problem(429, outcome.value, detail, request_id)
        if wait:
            refused.headers.append((b"retry-after", b"%d" % wait))
        refused.headers.extend(quota_headers(quotas) + _policy_headers(_limits_of(quotas)))
        return refused
    if outcome is Outcome.UNAVAILABLE:
        refused = _problem(503, "store_unavailable", NO_ANSWER, request_id)
        refused.headers.append((b"retry-after", b"1"))
        return refused
    return _problem(
        401, "invalid_token", "The token is not valid.", request_id, challenge("invalid_token", basic=basic)
    )


def allowed_headers(credential: Credential, limits: tuple[RateLimit, ...] = ()) -> Headers:
    """The limits, and the identity that a gateway passes on: ASCII, never empty, `-` where there is no value."""
    *lines, _ = allowed_lines(credential, limits).split(b"\r\n")
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


def allowed_lines(credential: Credential, limits: tuple[RateLimit, ...] = ()) -> bytes:
    """The fields of `allowed_headers` as lines on the wire, up to the request id."""
    subject, name = _ascii(credential.subject), ""
    if credential.kind is KIND_MANAGED:
        # Many names need no encoding except for their spaces.
        plain = credential.name if _PLAIN_NAME.fullmatch(credential.name) else quote(credential.name, safe=" ")
        name = f"x-token-name: {plain.replace(' ', '%20') or '-'}\r\n"
    # A body on a 200 makes gateways open a connection for each request. Authelia and oauth2-proxy call the fields
    # Remote-User and X-Auth-Request-User, so services behind a gateway may read them already. Scopes are ASCII by their
    # pattern. Built as one text, in half the time that bytes take: each token's first request in a second waits for it.
    lines = (
        f"content-length: 0\r\ncache-control: no-store\r\nx-token-id: {credential.token_id}\r\n"
        f"x-token-subject: {subject}\r\nx-token-scopes: {' '.join(credential.scopes) or '-'}\r\n"
        f"x-token-kind: {_KINDS[credential.kind]}\r\nremote-user: {subject}\r\nx-auth-request-user: {subject}\r\n"
        f"{name}x-request-id: "
    ).encode()
    return lines_of(_policy_headers(limits)) + lines if limits else lines


def quota_headers(quotas: tuple[Quota, ...]) -> Headers:
    """What a request left of each limit, by its name, in the form of draft 11 of the IETF's RateLimit fields."""
    return [(b"ratelimit", _left(quotas))] if quotas else []


def quota_line(quotas: tuple[Quota, ...]) -> bytes:
    """The field of `quota_headers` as a line on the wire."""
    return b"ratelimit: %b\r\n" % _left(quotas)


def _left(quotas: tuple[Quota, ...]) -> bytes:
    return ", ".join([f'"{quota.limit.name}";r={quota.remaining};t={quota.reset_seconds}' for quota in quotas]).encode()


def _limits_of(quotas: tuple[Quota, ...]) -> tuple[RateLimit, ...]:
    return tuple(quota.limit for quota in quotas)


def _policy_headers(limits: tuple[RateLimit, ...]) -> Headers:
    """The limits themselves: the same with every answer to the same credential."""
    if not limits:
        return []
    # A quota has no `w`, because months differ in length: only `t` says when it is full again.
    policies = [
        f'"{limit.name}";q={limit.limit}{f";w={limit.period_seconds}" if limit.calendar is None else ""}'
        for limit in limits
    ]
    return [(b"ratelimit-policy", ", ".join(policies).encode())]


def _problem(status: int, code: str, detail: str, request_id: str, challenged: bytes = b"") -> Answer:
    body = problem_body(status, code, detail, request_id)
    headers = [_PROBLEM, (b"content-length", b"%d" % len(body)), NO_STORE]
    if challenged:
        headers.append((b"www-authenticate", challenged))
    return Answer(status, headers, body)


def _ascii(text: str) -> str:
    """Printable ASCII unchanged, everything else percent-encoded, `-` for an empty text."""
    # Never an empty field: where a field is missing Caddy 2.6 passes on its own literal placeholder.
    return (text if _AS_IT_IS.fullmatch(text) else quote(text, safe=_PRINTABLE)) if text else "-"


def _is_scope(scope: str) -> bool:
    return scope != "" and scope.isascii() and scope.isprintable() and '"' not in scope and "\\" not in scope
