"""Administrators' JWTs: RFC 7519 signed tokens of an identity provider, checked by RFC 8725's rules. No Redis.

joserfc checks signatures and registered claims. Stricter than it: no member given twice, no header that brings a key
or rules along, and a `typ` that says JWT.
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

# For clocks that differ: RFC 7519, 4.1.4 allows a few minutes at most.
LEEWAY_SECONDS = 30
# RFC 7519, 5.1, and RFC 9068, 2.1, in both spellings of a media type.
_TYPES = ("jwt", "at+jwt", "application/jwt", "application/at+jwt")
# What would have the verifier take a key, or rules, from the token itself.
_REFUSED = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"})
_LONGEST_NAME = 256


def administrators(settings: Settings, clock: Callable[[], float]) -> AdministratorJwts:
    """The reader for these settings. Raises SettingsError for a JWKS that cannot be used."""
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
    # joserfc takes no public key for a secret: whoever has it could sign with it (RFC 8725, 2.1).
    except ValueError:
        raise SettingsError("TOKENS_ADMIN_JWT_SECRET is a public key: set TOKENS_ADMIN_JWT_JWKS instead") from None


def _jwks(place: str) -> Jwks:
    # Their age is no matter of the date: a clock that is set must neither keep old keys nor drop good ones.
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
        """`claim` is `name=value`; dots in the name lead into nested claims, a list counts if the value is in it."""
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
        """Who the administrator is.

        Raises Unauthorized whatever the defect, Forbidden for a good token without the administrator's claim,
        StoreUnavailable when there are no keys to check it with.
        """
        parts = token.split(b".")
        if len(parts) != 3:
            raise token_not_valid()
        header, signature = _members(_decode(parts[0])), _decode(parts[2])
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or not isinstance(kid, str | None) or not _is_plain(header):
            raise token_not_valid()
        key = await self._keys.find(algorithm, kid)
        # The signature first: nothing that a stranger may have written is read as a claim.
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
    """A JSON object in which no member comes twice: two readers might take different ones."""
    try:
        read = json.loads(text, object_pairs_hook=_refuse_twice)
    # RecursionError: brackets alone can nest deeper than the stack allows.
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
    """The claim of this name, or what its dots lead to."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _holds(value: object, wanted: str) -> bool:
    values = value if isinstance(value, list) else [value]
    # A claim may be the JSON true, which `name=true` in a setting means.
    return any(one == wanted or (isinstance(one, bool) and str(one).lower() == wanted) for one in values)
