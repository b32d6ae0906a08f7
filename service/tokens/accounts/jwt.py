"""Administrators' JWTs: signed tokens of an identity provider (RFC 7519), checked by the rules of RFC 8725. No Redis.

joserfc checks signatures and registered claims. This module is stricter: no member given twice, no header that brings
its own key or rules, and a `typ` that says JWT.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from service.errors import Forbidden, token_not_valid
from service.settings import Settings, SettingsError
from service.tokens.accounts.jwks import Jwks, SharedSecret, read_keys, url_reader
from service.user_files import expanded

# Tolerance for different clocks: RFC 7519, 4.1.4 allows at most a few minutes.
LEEWAY_SECONDS = 30
# RFC 7519, 5.1, and RFC 9068, 2.1, each in both spellings of a media type.
_TYPES = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")
# Headers by which the token itself would bring the verifier a key, or rules.
_REFUSED = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"})
_LONGEST_NAME = 256


def administrators(settings: Settings, clock: Callable[[], float]) -> AdministratorJwts:
    """The reader for these settings. Raises SettingsError for an unusable JWKS."""
    secret, place = settings.admin_jwt_secret, settings.admin_jwt_jwks
    keys = _secret(secret) if secret else _jwks(place)
    return AdministratorJwts(
        keys,
        clock,
        issuer=settings.admin_jwt_issuer,
        audience=settings.admin_jwt_audience,
        claim=settings.admin_jwt_claim,
    )


def _secret(secret: str) -> SharedSecret:
    try:
        return SharedSecret(secret)
    # joserfc refuses a public key as a secret: anyone who has it could sign with it (RFC 8725, 2.1).
    except ValueError:
        raise SettingsError("TOKENS_ADMIN_JWT_SECRET is a public key: set TOKENS_ADMIN_JWT_JWKS instead") from None


def _jwks(place: str) -> Jwks:
    # Their age is measured by a monotonic clock: setting the date must neither keep old keys nor drop good ones.
    try:
        if place.startswith("https://"):
            _check_host(urlsplit(place).netloc)
            return Jwks(url_reader(place), monotonic)
        if "://" in place:
            raise ValueError("name a file, or a URL that starts with https://")
        read = expanded(place).read_bytes
        return Jwks(read, monotonic, read_keys(read()))
    except OSError as error:
        raise SettingsError(f"TOKENS_ADMIN_JWT_JWKS: cannot read {place}: {error.strerror}") from None
    # RuntimeError: the path begins with ~, and this user has no home directory.
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"TOKENS_ADMIN_JWT_JWKS: {error}") from None


def _check_host(host: str) -> None:
    if not host:
        raise ValueError("the host is missing; write it like https://id.example/keys")
    if "@" in host:
        raise ValueError("leave the user name out, which is not sent")


class AdministratorJwts:
    """Reads JWTs that an identity provider issues to administrators."""

    def __init__(
        self, keys: Jwks | SharedSecret, clock: Callable[[], float], *, issuer: str, audience: str, claim: str
    ) -> None:
        """`claim` is `name=value`. Dots in the name lead into nested claims; a list matches if the value is in it."""
        self._keys = keys
        self._registered = JWTClaimsRegistry(
            lambda: int(clock()),
            LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._claim, _, self._wanted = claim.partition("=")

    async def subject(self, token: bytes) -> str:
        """The name of the administrator.

        Raises Unauthorized for every defect alike, Forbidden for a valid token without the administrator's claim,
        StoreUnavailable if there are no keys to verify it with.
        """
        parts = token.split(b".")
        if len(parts) != 3:
            raise token_not_valid()
        header, signature = _members(_decode(parts[0])), _decode(parts[2])
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not _is_plain(header):
            raise token_not_valid()
        key = await self._keys.find(algorithm, kid)
        # The signature first, so that nothing a stranger may have written is read as a claim.
        if key is None or not key.verifies(parts[0] + b"." + parts[1], signature):
            raise token_not_valid()
        return self._subject(_members(_decode(parts[1])))

    def _subject(self, claims: dict[str, Any]) -> str:
        try:
            self._registered.validate(claims)
        except JoseError:
            raise token_not_valid() from None
        name: str = claims["sub"]
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise token_not_valid()
        if not _holds(_claim(claims, self._claim), self._wanted):
            raise Forbidden("You are not an administrator here.")
        return name


def _decode(part: bytes) -> bytes:
    """Base64url without padding, in its one canonical form."""
    try:
        return urlsafe_b64decode(part)
    except ValueError:
        raise token_not_valid() from None


def _members(text: bytes) -> dict[str, Any]:
    """A JSON object without repeated members, because two readers may take different ones."""
    try:
        read = json.loads(text, object_pairs_hook=_refuse_twice)
    # RecursionError: nested brackets can go deeper than the stack allows.
    except (ValueError, RecursionError):
        raise token_not_valid() from None
    if not isinstance(read, dict):
        raise token_not_valid()
    return read


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is given twice")
    return members


def _is_plain(header: dict[str, Any]) -> bool:
    kind = header.get("typ", "JWT")
    return not _REFUSED & header.keys() and isinstance(kind, str) and kind.lower() in _TYPES


def _claim(claims: dict[str, Any], name: str) -> object:
    """The claim of this name, or the nested claim that its dots lead to."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _holds(value: object, wanted: str) -> bool:
    values = value if isinstance(value, list) else [value]
    # A claim may be the JSON value true, which a setting writes as `name=true`.
    return any(one == wanted or (isinstance(one, bool) and str(one).lower() == wanted) for one in values)
