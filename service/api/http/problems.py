"""Refusals and exceptions as answers: the one table of status codes, RFC 9457 problems, RFC 6750 challenges."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.responses import Response

from service.api.http.bodies import NO_STORE
from service.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServiceError,
    StoreUnavailable,
    Unauthorized,
)

BASIC = b'Basic realm="tokens"'
BEARER = b'Bearer realm="tokens"'
_STATUS: tuple[tuple[type[ServiceError], int], ...] = (
    (InvalidRequest, 400),
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (RateLimited, 429),
    (StoreUnavailable, 503),
)
_STATUS_OF_CODE = {
    # nginx's `auth_request` passes on only 401 and 403, and turns any other refusal into 500.
    "invalid_cost": 403,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "head_too_large": 431,
}
# The phrases of RFC 9110. Before 3.13 Python had an older phrase for 413.
TITLES = {
    status: HTTPStatus(status).phrase for status in (400, 401, 403, 404, 405, 408, 409, 413, 415, 429, 431, 500, 503)
} | {413: "Content Too Large"}
NO_PATH = "There is nothing at this path. /openapi.json has all that there are."
_OF_BODY = frozenset({b"content-type", b"content-length", NO_STORE[0]})


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: its path in the body or query, and the reason."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error, RFC 9457. `code` is a stable word for programs; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | UnsetType = UNSET


class _Told(Problem, frozen=True, omit_defaults=True):
    """A problem with two more members for the dashboard's routes: can anybody sign in, and how many tries are left."""

    accounts: bool | None = None
    triesLeft: int | None = None  # noqa: N815 - as the dashboard's contract spells it


class Pending(msgspec.Struct):
    """The extra member of an answer whose change is so far only in memory: the reason. A repeat is harmless."""

    pending: str


def problem_body(status: int, code: str, detail: str, request_id: str, **more: Any) -> bytes:
    """The JSON of a problem; `more` are members that few problems have."""
    # With `about:blank` the title is the phrase of the status (RFC 9457, 4.2.1); `code` says what went wrong.
    return msgspec.json.encode(_Told("about:blank", TITLES[status], status, detail, code, request_id, **more))


def challenge(error: str = "", scope: Iterable[str] = (), *, basic: bool = False) -> bytes:
    """The WWW-Authenticate value: bare without a credential, with the error when a credential was refused.

    `basic` offers Basic first on the same line, because docker reads only a line's first scheme, and cannot use Bearer.
    """
    parts = [BASIC, BEARER] if basic else [BEARER]
    if error:
        parts.append(f'error="{error}"'.encode())
    if wanted := " ".join(scope):
        parts.append(f'scope="{wanted}"'.encode())
    return b", ".join(parts)


def respond(error: ServiceError, request_id: str, *, retry_after: bool = True, doubts: Sequence[str] = ()) -> Response:
    """The answer to an exception. `retry_after`: a 503 says when to retry.

    `doubts`: reasons why an earlier removal is not confirmed.
    """
    # The record is gone, but not yet for certain: a 404 would say that a retry is pointless.
    if doubts and isinstance(error, NotFound):
        return _unconfirmed(doubts[0], request_id)
    by_kind = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    status = _STATUS_OF_CODE.get(error.code, by_kind)
    headers: list[tuple[bytes, bytes]] = []
    # By name, because modules above this one define exceptions with these two fields too (`api.pages.dashboard`).
    more = {"accounts": getattr(error, "accounts", None), "triesLeft": getattr(error, "tries_left", None)}
    if isinstance(error, InvalidRequest):
        more["errors"] = [FieldError(field, message) for field, message in error.fields] or UNSET
        if status == 413:
            # The rest of the body is still on its way and is not read, so the connection must close.
            headers.append((b"connection", b"close"))
    elif isinstance(error, Unauthorized):
        headers.append((b"www-authenticate", challenge("invalid_token" if error.presented else "")))
    elif isinstance(error, Forbidden) and error.scope:
        headers.append((b"www-authenticate", challenge("insufficient_scope", (error.scope,))))
    elif isinstance(error, RateLimited):
        headers.append((b"retry-after", b"%d" % error.retry_after))
    elif isinstance(error, StoreUnavailable) and retry_after:
        headers.append((b"retry-after", b"1"))
    body = problem_body(status, error.code, error.detail, request_id, **more)
    return raw(status, body, b"application/problem+json", headers)


def pending(response: Response, reason: str, request_id: str, *, may_wait: bool) -> Response:
    """An answer about a change that is in force but not confirmed: 202, with the reason as an additional member.

    Where a protocol has no such answer (not `may_wait`) it is 503, which asks for a retry.
    """
    if not may_wait:
        return _unconfirmed(reason, request_id)
    said = {**msgspec.json.decode(response.body or b"{}"), "pending": reason}
    kept = [(name, value) for name, value in response.raw_headers if name not in _OF_BODY]
    return raw(202, msgspec.json.encode(said), b"application/json", kept)


def _unconfirmed(reason: str, request_id: str) -> Response:
    """The answer where 202 is impossible: it asks for a retry."""
    detail = f"The token is refused from now on, but {reason}. Send it again."
    return plain(503, "pending", detail, request_id, [(b"retry-after", b"1")])


def plain(status: int, code: str, detail: str, request_id: str, headers: list[tuple[bytes, bytes]]) -> Response:
    """A problem without an exception: an unknown path, a wrong method, a failure of our own."""
    return raw(status, problem_body(status, code, detail, request_id), b"application/problem+json", headers)


def raw(status: int, body: bytes, media_type: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> Response:
    """An answer with exactly these bytes and headers, never cached."""
    # Starlette's constructor takes fields as text and encodes each one again; these are bytes already.
    response = Response(status_code=status)
    response.body = body
    response.raw_headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), NO_STORE, *headers]
    return response
