"""Administrators' JWTs: what is read, and all that is refused."""

import base64
import hmac
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from service.errors import Forbidden, Unauthorized
from service.settings import Settings, SettingsError, masked
from service.tokens.accounts.jwks import STALE_SECONDS
from service.tokens.accounts.jwt import LEEWAY_SECONDS, administrators

NOW = 1_800_000_000
SECRET = "a secret of the identity provider, long enough"
ISSUER, AUDIENCE = "https://id.example", "token-service"
RSA, OTHER_RSA = RSAKey.generate_key(2048), RSAKey.generate_key(2048)
EC, ED = ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
PRIVATE = {"RS256": RSA, "ES256": EC, "EdDSA": ED}
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 300, "sub": "alice", "role": "admin"}


def public(key: Any, **more: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **more}


JWKS = {"keys": [public(RSA, kid="rsa", alg="RS256", use="sig"), public(EC, kid="ec"), public(ED, kid="ed")]}


def b64(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def encode(part: Any) -> bytes:
    return b64(part if isinstance(part, bytes) else json.dumps(part).encode())


def hs256(header: Any, claims: Any, secret: bytes | str = SECRET) -> bytes:
    """A JWT of our own making: nothing in its header is checked."""
    signed = encode(header) + b"." + encode(claims)
    key = secret.encode() if isinstance(secret, str) else secret
    return signed + b"." + b64(hmac.digest(key, signed, "sha256"))


def signed_by(key: Any, algorithm: str, header: dict[str, Any], claims: Any = CLAIMS) -> bytes:
    """A JWT signed by a private key with this algorithm, whatever its header says."""
    signed = encode(header) + b"." + encode(claims)
    return signed + b"." + b64(JWSRegistry.algorithms[algorithm].sign(signed, key))


def by_secret(**more: Any) -> Any:
    settings = Settings(admin_jwt_secret=SECRET, admin_jwt_issuer=ISSUER, admin_jwt_audience=AUDIENCE, **more)
    return administrators(settings, lambda: NOW)


@pytest.fixture
def by_keys(tmp_path: Path) -> Any:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(JWKS))
    settings = Settings(admin_jwt_jwks=str(path), admin_jwt_issuer=ISSUER, admin_jwt_audience=AUDIENCE)
    return administrators(settings, lambda: NOW)


GOOD_HEADER = {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (GOOD_HEADER, CLAIMS),
        ({"alg": "HS256"}, CLAIMS),
        ({**GOOD_HEADER, "typ": "at+jwt", "kid": "whatever"}, CLAIMS),
        (GOOD_HEADER, {**CLAIMS, "aud": ["other", AUDIENCE]}),
        (GOOD_HEADER, {**CLAIMS, "exp": NOW - LEEWAY_SECONDS + 1}),
        (GOOD_HEADER, {**CLAIMS, "exp": NOW + 0.5}),
        (GOOD_HEADER, {**CLAIMS, "nbf": NOW + LEEWAY_SECONDS, "iat": NOW - 5}),
        (GOOD_HEADER, {**CLAIMS, "role": ["user", "admin"]}),
    ],
)
async def test_a_good_jwt_names_the_administrator(header: Any, claims: Any) -> None:
    assert await by_secret().subject(hs256(header, claims)) == "alice"


@pytest.mark.parametrize("algorithm", list(PRIVATE))
async def test_each_algorithm_of_a_jwks_is_read(by_keys: Any, algorithm: str) -> None:
    kid = {"RS256": "rsa", "ES256": "ec", "EdDSA": "ed"}[algorithm]
    for header in ({"alg": algorithm, "kid": kid, "typ": "JWT"}, {"alg": algorithm}):
        assert await by_keys.subject(signed_by(PRIVATE[algorithm], algorithm, header)) == "alice"


CLAIM_DEFECTS: dict[str, dict[str, Any]] = {
    "no exp": {"exp": None},
    "exp gone": {"exp": NOW - LEEWAY_SECONDS},
    "exp long gone": {"exp": 0},
    "exp text": {"exp": str(NOW + 300)},
    "exp true": {"exp": True},
    "exp list": {"exp": [NOW + 300]},
    "exp infinite": {"exp": float("inf")},
    "exp not a number": {"exp": float("nan")},
    "exp minus": {"exp": -1},
    "nbf ahead": {"nbf": NOW + LEEWAY_SECONDS + 1},
    "nbf text": {"nbf": "0"},
    "iat odd": {"iat": {}},
    "iat ahead": {"iat": NOW + LEEWAY_SECONDS + 1},
    "jti number": {"jti": 7},
    "audiences of a kind": {"aud": [AUDIENCE, 7]},
    "other issuer": {"iss": "https://evil.example"},
    "issuer list": {"iss": [ISSUER]},
    "issuer longer": {"iss": ISSUER + "/"},
    "other audience": {"aud": "other"},
    "audiences": {"aud": ["a", "b"]},
    "audience part": {"aud": AUDIENCE + "2"},
    "audience object": {"aud": {AUDIENCE: 1}},
    "audience empty": {"aud": []},
    "no subject": {"sub": ""},
    "subject number": {"sub": 7},
    "subject line": {"sub": "alice\nbob"},
    "subject long": {"sub": "a" * 257},
}


@pytest.mark.parametrize("defect", CLAIM_DEFECTS.values(), ids=list(CLAIM_DEFECTS))
async def test_claims_that_are_not_right_are_refused(defect: dict[str, Any]) -> None:
    claims = {**CLAIMS, **defect}
    if defect == {"exp": None}:
        del claims["exp"]
    with pytest.raises(Unauthorized):
        await by_secret().subject(hs256(GOOD_HEADER, claims))


@pytest.mark.parametrize("missing", ["exp", "iss", "aud", "sub"])
async def test_each_required_claim_must_be_there(missing: str) -> None:
    with pytest.raises(Unauthorized):
        await by_secret().subject(hs256(GOOD_HEADER, {k: v for k, v in CLAIMS.items() if k != missing}))


HEADER_DEFECTS: dict[str, dict[str, Any]] = {
    "crit": {"crit": ["exp"]},
    "crit empty": {"crit": []},
    "jku": {"jku": "https://evil.example/jwks"},
    "jwk": {"jwk": {"kty": "oct", "k": "AAAA"}},
    "x5u": {"x5u": "https://evil.example/c"},
    "x5c": {"x5c": ["MIIB"]},
    "b64": {"b64": True},
    "zip": {"zip": "DEF"},
    "enc": {"enc": "A128GCM"},
    "kid number": {"kid": 1},
    "kid list": {"kid": ["rsa"]},
    "typ other": {"typ": "JWE"},
    "typ number": {"typ": 1},
    "no alg": {"alg": None},
    "alg number": {"alg": 256},
    "alg list": {"alg": ["HS256"]},
    "alg case": {"alg": "hs256"},
    "HS512": {"alg": "HS512"},
    "none": {"alg": "none"},
    "None": {"alg": "None"},
    "RS256": {"alg": "RS256"},
}


@pytest.mark.parametrize("defect", HEADER_DEFECTS.values(), ids=list(HEADER_DEFECTS))
async def test_headers_that_would_change_the_rules_are_refused(defect: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        await by_secret().subject(hs256({**GOOD_HEADER, **defect}, CLAIMS))


def malformed() -> dict[str, bytes]:
    good = hs256(GOOD_HEADER, CLAIMS)
    header, claims, signature = good.split(b".")
    twice = b'{"alg":"HS256","alg":"HS256"}'
    return {
        "two parts": header + b"." + claims,
        "four parts": good + b".",
        "five parts": b".".join([header, b"", b"", claims, signature]),
        "no signature": header + b"." + claims + b".",
        "no signature and alg none": encode({"alg": "none"}) + b"." + claims + b".",
        "cut signature": good[:-4],
        "longer signature": good + b"AAAA",
        "other signature": header + b"." + claims + b"." + b64(b"\x00" * 32),
        "signature of another": header + b"." + encode({**CLAIMS, "sub": "mallory"}) + b"." + signature,
        "other secret": hs256(GOOD_HEADER, CLAIMS, SECRET + "x"),
        "empty secret": hs256(GOOD_HEADER, CLAIMS, b""),
        "padding": header + b"=." + claims + b"." + signature,
        "other alphabet": good.replace(b"e", b"+", 1),
        "blank": good + b" ",
        "newline": header + b"\n." + claims + b"." + signature,
        "trailing bits": good[:-1] + bytes([good[-1] + 1]),
        "header no object": hs256([1], CLAIMS),
        "header no json": hs256(b"{", CLAIMS),
        "header no utf-8": hs256(b'{"alg":"\xff"}', CLAIMS),
        "header nested deep": hs256(b"[" * 100_000, CLAIMS),
        "header twice": hs256(twice, CLAIMS),
        "claims twice": hs256(GOOD_HEADER, json.dumps(CLAIMS).encode()[:-1] + b',"sub":"mallory"}'),
        "claims nested twice": hs256(GOOD_HEADER, json.dumps(CLAIMS).encode()[:-1] + b',"a":{"b":1,"b":2}}'),
        "claims a list": hs256(GOOD_HEADER, [CLAIMS]),
        "claims text": hs256(GOOD_HEADER, b'"alice"'),
        "claims another jwt": hs256({**GOOD_HEADER, "cty": "JWT"}, good),
        "huge number": hs256(GOOD_HEADER, b'{"exp":' + b"9" * 5000 + b"}"),
        "empty": b"..",
    }


@pytest.mark.parametrize("name", list(malformed()))
async def test_what_is_no_well_formed_signed_jwt_is_refused(name: str) -> None:
    with pytest.raises(Unauthorized):
        await by_secret().subject(malformed()[name])


def confusions() -> dict[str, bytes]:
    pem = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    modulus = base64.urlsafe_b64decode(RSA.as_dict(private=False)["n"] + "==")
    rsa = {"alg": "RS256", "kid": "rsa"}
    return {
        "public key as HMAC secret, PEM": hs256({"alg": "HS256", "kid": "rsa"}, CLAIMS, pem),
        "public key as HMAC secret, modulus": hs256({"alg": "HS256", "kid": "rsa"}, CLAIMS, modulus),
        "public key as HMAC secret, jwks": hs256({"alg": "HS256", "kid": "rsa"}, CLAIMS, json.dumps(JWKS)),
        "HMAC under the header of RSA": hs256(rsa, CLAIMS, pem),
        "none": encode({"alg": "none", "kid": "rsa"}) + b"." + encode(CLAIMS) + b".",
        "another key's kid": signed_by(OTHER_RSA, "RS256", rsa),
        "foreign kid": signed_by(OTHER_RSA, "RS256", {"alg": "RS256", "kid": "foreign"}),
        "kid of another type": signed_by(RSA, "RS256", {"alg": "RS256", "kid": "ec"}),
        "right key, foreign kid": signed_by(RSA, "RS256", {"alg": "RS256", "kid": "foreign"}),
        "kid as path": signed_by(RSA, "RS256", {"alg": "RS256", "kid": "../../dev/null"}),
        "kid empty": signed_by(RSA, "RS256", {"alg": "RS256", "kid": ""}),
        "PS256 by an RS256 key": signed_by(RSA, "PS256", {"alg": "PS256", "kid": "rsa"}),
        "RS512 by an RS256 key": signed_by(RSA, "RS512", {"alg": "RS512", "kid": "rsa"}),
        "RS512 said to be RS256": signed_by(RSA, "RS512", rsa),
        "key in the header": signed_by(OTHER_RSA, "RS256", {**rsa, "jwk": public(OTHER_RSA)}),
        "key behind the header": signed_by(OTHER_RSA, "RS256", {**rsa, "jku": "https://evil.example/jwks"}),
        "ES256 of zeros": encode({"alg": "ES256", "kid": "ec"}) + b"." + encode(CLAIMS) + b"." + b64(b"\x00" * 64),
        "ES256 in DER": _der(),
        "ES256 short": _short(),
        "EdDSA of zeros": encode({"alg": "EdDSA", "kid": "ed"}) + b"." + encode(CLAIMS) + b"." + b64(b"\x00" * 64),
        "EdDSA by its other name": signed_by(ED, "Ed25519", {"alg": "Ed25519", "kid": "ed"}),
    }


def _der() -> bytes:
    signed = encode({"alg": "ES256", "kid": "ec"}) + b"." + encode(CLAIMS)
    return signed + b"." + b64(EC.private_key.sign(signed, ECDSA(SHA256())))


def _short() -> bytes:
    header, claims, signature = signed_by(EC, "ES256", {"alg": "ES256", "kid": "ec"}).split(b".")
    return header + b"." + claims + b"." + b64(base64.urlsafe_b64decode(signature + b"==")[:63])


@pytest.mark.parametrize("name", list(confusions()))
async def test_no_key_verifies_by_another_algorithm_or_for_another(by_keys: Any, name: str) -> None:
    with pytest.raises(Unauthorized):
        await by_keys.subject(confusions()[name])


@pytest.mark.parametrize(
    ("claim", "claims", "admitted"),
    [
        ("role=admin", {"role": "admin"}, True),
        ("role=admin", {"role": "administrator"}, False),
        ("role=admin", {"role": ["a", "admin"]}, True),
        ("role=admin", {"role": {"admin": True}}, False),
        ("role=admin", {}, False),
        ("groups=ops=1", {"groups": ["ops=1"]}, True),
        ("realm_access.roles=token-admin", {"realm_access": {"roles": ["token-admin"]}}, True),
        ("realm_access.roles=token-admin", {"realm_access": "token-admin"}, False),
        ("https://example.com/role=admin", {"https://example.com/role": "admin"}, True),
        ("admin=true", {"admin": True}, True),
        ("admin=true", {"admin": 1}, False),
        ("admin=true", {"admin": False}, False),
    ],
)
async def test_only_the_administrators_claim_makes_an_administrator(
    claim: str, claims: dict[str, Any], admitted: bool
) -> None:
    bare = {name: value for name, value in CLAIMS.items() if name != "role"}
    token = hs256(GOOD_HEADER, {**bare, **claims})
    reader = by_secret(admin_jwt_claim=claim)
    if admitted:
        assert await reader.subject(token) == "alice"
    else:
        with pytest.raises(Forbidden):
            await reader.subject(token)


@pytest.mark.parametrize(
    ("place", "document"),
    [
        ("http://id.example/jwks", None),
        ("ftp://id.example/jwks", None),
        ("absent.json", None),
        ("~/jwks.json", None),
        ("jwks.json", "{"),
        ("jwks.json", "[]"),
        ("jwks.json", '{"keys":[]}'),
        ("jwks.json", '{"keys":7}'),
        ("jwks.json", '{"keys":[1]}'),
        ("https://user:hunter22@keys.example/jwks", None),
        ("jwks.json", '{"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0"}]}'),
    ],
)
def test_a_jwks_that_cannot_be_used_stops_the_start(
    tmp_path: Path, place: str, document: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    if document is not None:
        Path(place).write_text(document)
    settings = Settings(admin_jwt_jwks=place, admin_jwt_issuer=ISSUER, admin_jwt_audience=AUDIENCE)
    with pytest.raises(SettingsError, match="TOKENS_ADMIN_JWT_JWKS") as refused:
        administrators(settings, lambda: NOW)
    assert "hunter22" not in f"{refused.value}{masked(settings)}"


async def test_a_wall_clock_that_is_set_makes_no_key_older(tmp_path: Path) -> None:
    path, now = tmp_path / "jwks.json", NOW
    path.write_text(json.dumps(JWKS))
    settings = Settings(admin_jwt_jwks=str(path), admin_jwt_issuer=ISSUER, admin_jwt_audience=AUDIENCE)
    reader = administrators(settings, lambda: now)
    path.unlink()
    now += STALE_SECONDS + 1
    token = signed_by(ED, "EdDSA", {"alg": "EdDSA"}, {**CLAIMS, "exp": now + 300})
    assert await reader.subject(token) == "alice"


def test_a_public_key_as_secret_stops_the_start() -> None:
    pem = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings = Settings(admin_jwt_secret=pem, admin_jwt_issuer=ISSUER, admin_jwt_audience=AUDIENCE)
    with pytest.raises(SettingsError, match="TOKENS_ADMIN_JWT_SECRET"):
        administrators(settings, lambda: NOW)


@pytest.mark.slow
def test_what_checks_jwts_and_passwords_is_loaded_only_where_there_are_some() -> None:
    made = "service.app.create_app(service.settings.Settings(redis_url='redis://a', secret_key='k' * 32))"
    late = "{'joserfc', 'cryptography.hazmat', 'argon2'}"
    peek = f"import sys, service.app; {made}; print({late} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", peek], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
