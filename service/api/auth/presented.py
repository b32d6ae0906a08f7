"""Which secrets a request presents: in its header fields, or in the URI that the gateway's client asked for."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from service.tokens.secret import parse

if TYPE_CHECKING:
    from service.api.http.call import Headers

_FIELDS = frozenset((b"x-api-key", b"x-token"))
_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"
_TAKEN = {
    "scheme": "bearer|basic",
    # Fields with a meaning of their own, which cannot also present a token.
    "header": (
        "accept.*|authorization|connection|content-.*|cookie|expect|forwarded|host|idempotency-key|origin"
        "|transfer-encoding|upgrade|user-agent|x-forwarded-.*|x-original-uri|x-request-id|x-required-scope"
        "|x-token-cost|x-tokens-retry-key"
        # Fields that name a request or its trace.
        "|b3|cf-ray|trace(parent|state)|x-(amzn-trace|correlation)-id|x-b3-.*|x-cloud-trace-context"
        "|x-datadog-.*"
    ),
}
# What clients send as the password when the token is the user.
_NO_PASSWORD = (b"", b"x-oauth-basic")


class Accepted(msgspec.Struct, frozen=True):
    """What presents a token besides the usual fields: the forms that clients of earlier services still send.

    `schemes` are Authorization schemes in lower case; with `bare` the token stands there without a scheme; `fields` are
    names of header fields in lower case, `cookies` names of cookies.
    """

    basic: bool = False
    bare: bool = False
    schemes: frozenset[bytes] = frozenset()
    fields: frozenset[bytes] = _FIELDS
    cookies: frozenset[bytes] = frozenset()

    @property
    def is_usual(self) -> bool:
        """True when only the usual fields present a token."""
        return self.fields == _FIELDS and not self.cookies


USUAL = Accepted()


def read_accepted(text: str, *, basic: bool) -> Accepted:
    """What TOKENS_ACCEPT_ALSO lists: `bare`, `scheme:NAME`, `header:NAME`, `cookie:NAME`. Raises ValueError."""
    found: dict[str, set[bytes]] = {"bare": set(), "scheme": set(), "header": set(), "cookie": set()}
    for part in filter(None, map(str.strip, text.split(","))):
        kind, colon, name = part.partition(":")
        if kind not in found or (kind == "bare") is bool(colon) or (colon and not re.fullmatch(_NAME, name)):
            raise ValueError(f"{part!r}: write bare, scheme:NAME, header:NAME or cookie:NAME")
        # Fields and schemes are case-insensitive (RFC 9110, 5.1 and 11.1), cookies are not.
        name = name if kind == "cookie" else name.lower()
        if kind in _TAKEN and re.fullmatch(_TAKEN[kind], name):
            raise ValueError(f"{part!r}: this has a meaning of its own")
        found[kind].add(name.encode())
    schemes, fields, cookies = (frozenset(found[kind]) for kind in ("scheme", "header", "cookie"))
    return Accepted(basic, bool(found["bare"]), schemes, _FIELDS | fields, cookies)


def presented(headers: Headers, *, in_uri: bool = False, accepted: Accepted = USUAL) -> list[bytes]:
    """The different secrets a request presents in Authorization: Bearer, X-API-Key, X-Token; an empty field has none.

    `accepted` adds further forms; an unknown scheme presents nothing (RFC 6750, 3.1). `in_uri` adds the secrets in
    the URI that the gateway's client asked for; only the secret counts, whoever wrote the URI. Two Authorization
    fields always count as two secrets.
    """
    fields = [value for name, value in headers if name == b"authorization"]
    if len(fields) > 1:
        return fields
    secrets = [secret for value in fields for secret in _in_authorization(value, accepted)]
    secrets += [value.strip() for name, value in headers if name in accepted.fields]
    if accepted.cookies:
        secrets += [value for name, value in cookies_in(headers) if name in accepted.cookies]
    if in_uri:
        secrets += _in_original_uri(headers)
    return [secret for secret in dict.fromkeys(secrets) if secret]


def _in_authorization(value: bytes, accepted: Accepted) -> list[bytes]:
    # Also the word alone, which presents nothing: with `bare` it would otherwise be read as a token.
    if value[:6].lower() == b"bearer" and value[6:7] in (b" ", b""):
        return [value[7:].strip()]
    if accepted.schemes or accepted.bare:
        scheme, _, rest = value.partition(b" ")
        if scheme.lower() in accepted.schemes:
            return [rest.strip()]
        if accepted.bare and not rest.strip() and scheme.lower() != b"basic":
            return [scheme]
    return tokens_in(value) if accepted.basic else []


def cookies_in(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Names and values of the cookies in order, without the quotes that some libraries add."""
    pairs = [pair.partition(b"=") for name, value in headers if name == b"cookie" for pair in value.split(b";")]
    return [(name.strip(), value.strip().strip(b'"')) for name, _, value in pairs]


def _in_original_uri(headers: Headers) -> list[bytes]:
    """The `token` parameters of the URI that the gateway's client asked for."""
    tokens: list[str] = []
    for name, value in headers:
        if name in (b"x-original-uri", b"x-forwarded-uri"):
            # Not urlsplit: it raises for an invalid host, and the client controls this line.
            query = value.partition(b"?")[2].partition(b"#")[0]
            # Most URIs hold no token, and parsing one takes longer than everything else here.
            if b"token" not in query and b"%" not in query:
                continue
            tokens += parse_qs(query.decode("latin-1")).get("token", [])
    return [token.encode("latin-1", "replace") for token in tokens]


def pair_of(field: bytes) -> tuple[bytes, bytes] | None:
    """User and password; None for another scheme. Raises ValueError for malformed Basic credentials."""
    scheme, _, encoded = field.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    if not encoded.strip():
        return b"", b""
    # Strict, because otherwise invalid characters would be ignored, and another reader may not ignore them. A password
    # may contain colons, a user may not (RFC 7617, 2).
    user, colon, password = b64decode(encoded.strip(), validate=True).partition(b":")
    if not colon:
        raise ValueError("Basic credentials without a colon")
    return user, password


def tokens_in(field: bytes) -> list[bytes]:
    """The tokens that Basic credentials present; empty for another scheme.

    git, docker, npm and pip know only Basic, and send the token as user or as password beside a fixed word.
    Two tokens are two credentials.
    """
    try:
        pair = pair_of(field)
    except ValueError:
        return [field]  # presented, but no token
    if pair is None:
        return []
    user, password = pair
    # A secret that another system made may have any form: then only its position shows which part it is.
    return [part for part in pair if parse(part)] or [user if password in _NO_PASSWORD else password]
