"""What other systems keep of a secret: taken in where a presented token can be found by it, and refused where not."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256, sha512
from typing import Any

import pytest

from service.app import Service
from tests.api.admin.test_import_export import send
from tests.asgi import Person, sign_in

pytestmark = pytest.mark.anyio
TERMS = {"duration": "1month"}
SALTED = (
    "$2b$12$abcdefghijklmnopqrstuv1234567890123456789012345678901",
    "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    "pbkdf2_sha256$260000$salt$aGFzaGhhc2hoYXNoaGFzaA==",
    "$apr1$saltsalt$aGFzaGhhc2hoYXNoaGFz",
    "{SSHA}aGFzaGhhc2hoYXNoaGFzaA==",
)


async def take(person: Person, *rows: dict[str, Any]) -> list[str]:
    """What became of each row: `imported`, or why not."""
    lines = [{"name": f"gate {number}", **TERMS, **row} for number, row in enumerate(rows)]
    why = {row["line"]: row["message"] for row in (await send(person, lines)).json()["skipped"]}
    return [why.get(number, "imported") for number in range(1, len(rows) + 1)]


async def status(service: Service, secret: str) -> int:
    return (await Person(service, secret).get("/validate")).status


async def test_a_digest_in_the_place_of_a_secret_opens_nothing(service: Service) -> None:
    admin = await sign_in(service)
    kept, longer = sha256(b"sk_live_abc"), sha512(b"sk_live_abc")
    forms = [form for kept in (kept, longer) for form in (kept.hexdigest(), kept.hexdigest().upper())]
    forms += [encode(one.digest()).decode() for one in (kept, longer) for encode in (b64encode, urlsafe_b64encode)]
    forms += [form.rstrip("=") for form in forms[-4:]]
    named = [f"sha256${kept.hexdigest()}", f"sha512$${longer.hexdigest()}", f"\\x{kept.hexdigest()}"]
    said = await take(admin, *[{"secret": form} for form in [*forms, *named]])
    assert [why for why in said if "anyone who has seen it would come in" not in why] == []
    assert {await status(service, form) for form in [*forms, *named]} == {401}
    # What nothing but a digest begins with is one whatever the row says; the rest is the operator's word.
    said = await take(admin, *[{"secret": form, "secretIsClear": True} for form in [*named, forms[0]]])
    assert [why == "imported" for why in said] == [False, False, False, True]
    assert await status(service, forms[0]) == 200


async def test_a_salted_hash_is_refused_with_the_reason(service: Service) -> None:
    admin = await sign_in(service)
    rows = [{field: salted} for salted in SALTED for field in ("secret", "sha256")]
    assert [why for why in await take(admin, *rows) if "no presented token can be found" not in why] == []


@pytest.mark.parametrize("secret", ["8letters", "sntrys_" + "x" * 272, "~" * 1024, "12|abc"])
async def test_a_secret_of_any_length_is_found_by_its_digest(service: Service, secret: str) -> None:
    admin = await sign_in(service)
    line = {"name": "gate", "sha256": sha256(secret.encode()).hexdigest(), **TERMS}
    assert (await send(admin, [line])).json() == {"imported": 1, "byDigest": 1, "skipped": []}
    assert await status(service, secret) == 200


async def test_tokens_without_the_form_of_a_digest_need_no_word(service: Service) -> None:
    admin = await sign_in(service)
    secrets = ["0123456789" * 4, "x" * 43, "ab" * 16, "sk-" + "a1" * 11, "Z" * 64, "~" * 1024]
    assert await take(admin, *[{"secret": secret} for secret in secrets]) == ["imported"] * len(secrets)
    assert {await status(service, secret) for secret in secrets} == {200}
