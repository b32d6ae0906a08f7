"""What other systems keep of a secret: taken in where a presented token can be found by it, and refused where not."""

import json
import re
import subprocess
from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256, sha512
from typing import Any

import pytest

from service.api.http.timestamps import rfc3339
from service.app import Service
from tests.api.admin.test_import_export import EXPORT, NONE_SKIPPED, send
from tests.asgi import Person, sign_in
from tests.conftest import Clock, MakeService
from tests.contract.sources import ROOT

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


async def test_a_digest_in_the_place_of_a_secret_opens_nothing(service: Service, admin: Person) -> None:
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


@pytest.mark.parametrize("end", [1_900_000_000, "2030-03-17T17:46:40Z", "1900000000"])
async def test_a_row_with_two_ends_is_refused(admin: Person, end: Any) -> None:
    (said,) = await take(admin, {"secret": "secret-with-two-ends", "expiresAt": end})
    assert said.startswith("duration: give either duration")


async def test_a_salted_hash_is_refused_with_the_reason(admin: Person) -> None:
    rows = [{field: salted} for salted in SALTED for field in ("secret", "sha256")]
    assert [why for why in await take(admin, *rows) if "no presented token can be found" not in why] == []


@pytest.mark.parametrize("secret", ["8letters", "sntrys_" + "x" * 272, "~" * 1024, "12|abc"])
async def test_a_secret_of_any_length_is_found_by_its_digest(service: Service, admin: Person, secret: str) -> None:
    line = {"name": "gate", "sha256": sha256(secret.encode()).hexdigest(), **TERMS}
    assert (await send(admin, [line])).json() == {"imported": 1, "byDigest": 1, **NONE_SKIPPED}
    assert await status(service, secret) == 200


async def test_tokens_without_the_form_of_a_digest_need_no_word(service: Service, admin: Person) -> None:
    secrets = ["0123456789" * 4, "x" * 43, "ab" * 16, "sk-" + "a1" * 11, "Z" * 64, "~" * 1024]
    assert await take(admin, *[{"secret": secret} for secret in secrets]) == ["imported"] * len(secrets)
    assert {await status(service, secret) for secret in secrets} == {200}


KNOX = "6fd1" * 16
TYK = b64encode(b'{"org":"53ac0777","id":"9c1c2f","h":"sha256"}').decode()
FORMS = {
    # What the database holds, what a client presents, and what else of it would be wrong to take.
    "sanctum": ("sha256", sha256(b"plain-text").hexdigest(), "after:|", ["7|plain-text", "plain-text"], "7|plain"),
    "session": ("sha256", sha256(b"bare-session").hexdigest(), "before:.", ["bare-session.c2ln", "bare-session"], "b"),
    "knox 5": ("sha512", sha512(KNOX.encode()).hexdigest(), "whole", [KNOX], KNOX.upper()),
    "knox 4": ("sha512", sha512(bytes.fromhex("ab12" * 16)).hexdigest(), "bytes", ["ab12" * 16], "ab12" * 15),
    "drf": ("sha512", f"sha512$${sha512(b'prefix12.rest').hexdigest()}", "whole", ["prefix12.rest"], "prefix12"),
    "posthog": ("sha256", f"sha256${sha256(b'phx_abc').hexdigest()}", "whole", ["phx_abc"], "abc"),
    "postgres": ("sha256", f"\\x{sha256(b'sk-of-litellm').hexdigest()}", "whole", ["sk-of-litellm"], "sk-"),
    "unkey": ("sha256", b64encode(sha256(b"uk_key").digest()).decode(), "whole", ["uk_key"], "uk_kez"),
    "prefixed": ("sha256", sha256(b"v1:the-rest").hexdigest(), "prefix:v1:", ["the-rest"], "v1:the-rest"),
    "kong": ("secret", "kong-key-of-the-consumer", "whole", ["kong-key-of-the-consumer"], "kong-key-of"),
    "tyk": ("sha256", sha256(TYK.encode()).hexdigest(), "whole", [TYK], TYK[:-4]),
    "gitlab": ("sha256", b64encode(sha256(b"glpat-abcdb-key").digest()).decode(), "suffix", ["glpat-abc"], "glpat-a"),
}


async def test_a_token_is_found_by_what_its_system_kept_of_it(make_service: MakeService, namespace: str) -> None:
    service = await make_service(shards=16, background=False, import_suffix="db-key")
    admin = await sign_in(service)
    for name, (algorithm, kept, of, presented, strange) in FORMS.items():
        assert {await status(service, secret) for secret in presented} == {401}, name
        assert await take(admin, {algorithm: kept, "of": of, "name": name}) == ["imported"]
        assert {await status(service, secret) for secret in presented} == {200}, name
        assert await status(service, strange) == 401, name
    assert [str(rule) for rule in service.rules.authority.imported.rules] == [
        "sha256 after:|",
        "sha256 before:.",
        "sha256 prefix:v1:",
        "sha256 suffix",
        "sha256 whole",
        "sha512 bytes",
        "sha512 whole",
    ]
    # Another process learns the rules, and an export takes them along.
    second = await make_service(shards=16, background=False, import_suffix="db-key", namespace=f"{namespace}-b")
    assert (await send(await sign_in(second), (await admin.get(EXPORT)).lines())).json()["imported"] == len(FORMS)
    for one in (await make_service(shards=16, background=False, import_suffix="db-key"), second):
        await one.rules.managed.imports.detect_imported()
        assert {await status(one, presented[0]) for *_, presented, _ in FORMS.values()} == {200}
    # Whoever presents it may end it, in a process that knows no rule yet.
    late = await make_service(shards=16, background=False)
    form = {"content-type": "application/x-www-form-urlencoded"}
    await Person(late).ask("POST", "/oauth2/revoke", body=b"token=7|plain-text", headers=form)
    assert {await status(service, secret) for secret in ("7|plain-text", "plain-text")} == {401}


PROGRAM = re.compile(r"^\| (Kong|APISIX|Tyk) \| `.*?jq -c (?:--arg hash \S+ )?'(.*?)'[`;]", re.MULTILINE)
# What each of the three answers when it is asked for its keys.
ANSWERS = {
    "Kong": {
        "data": [
            {
                "id": "0001",
                "key": "kong-key-for-ever",
                "consumer": {"id": "ada"},
                "ttl": None,
                "created_at": 1764000000,
            },
            {"id": "0002", "key": "kong-key-with-end", "consumer": {"id": "bob"}, "ttl": 2e9, "created_at": 1764000000},
        ],
        "next": None,
    },
    "APISIX": {
        "total": 2,
        "list": [
            {
                "value": {
                    "username": "jack",
                    "plugins": {"key-auth": {"key": "apisix-key-of-jack"}},
                    "create_time": 1764000000,
                }
            },
            {"value": {"username": "jill", "plugins": {"limit-count": {"count": 2}}, "create_time": 1764000000}},
        ],
    },
    "Tyk": {"alias": "john", "expires": -1, "is_inactive": False, "org_id": "53ac0777", "rate": 1000, "per": 60},
}


def rows_of(program: str, answer: dict[str, Any]) -> list[dict[str, Any]]:
    command = ["jq", "-c", "--arg", "hash", sha256(TYK.encode()).hexdigest(), program]
    made = subprocess.run(command, input=json.dumps(answer), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in made.stdout.splitlines()]


@pytest.mark.slow
async def test_the_commands_of_the_page_read_what_gateways_answer(make_service: MakeService) -> None:
    service = await make_service(background=False, fake=True, max_lifetime_days=0)
    admin = await sign_in(service)
    page = (ROOT / "deploy/IMPORT.md").read_text(encoding="utf-8").replace(r"\|", "|")
    programs = dict(PROGRAM.findall(page))
    assert programs.keys() == ANSWERS.keys()
    taken = [row for name, program in programs.items() for row in rows_of(program, ANSWERS[name])]
    assert (await send(admin, taken)).json() == {"imported": 4, "byDigest": 1, **NONE_SKIPPED}
    presented = ["kong-key-for-ever", "kong-key-with-end", "apisix-key-of-jack", TYK]
    assert [await status(service, secret) for secret in presented] == [200] * 4
    ends = {row["name"]: row["expiresAt"] for row in (await admin.get("/api/admin/tokens")).json()["tokens"]}
    assert [name for name, end in ends.items() if end] == ["kong 0002"]


async def test_a_rule_that_cannot_be_followed_is_refused(admin: Person) -> None:
    kept = sha256(b"x").hexdigest()
    assert await take(
        admin,
        {"sha256": kept, "of": "around:|"},
        {"secret": "sixteen letters!".replace(" ", "-"), "of": "bytes"},
        {"sha256": kept, "of": "suffix"},
        {"sha256": kept, "sha512": kept * 2},
        {"sha256": kept * 2},
    ) == [
        "of: give whole, after:TEXT, before:TEXT, prefix:TEXT, bytes or suffix.",
        "of: bytes belongs to a digest; beside a secret in clear give whole, after:TEXT or before:TEXT.",
        "Set TOKENS_IMPORT_SUFFIX to what the other system adds to a token before it makes the digest.",
        "secret: give one of the secret, its sha256 and its sha512.",
        "sha256: give the 32 bytes of the digest in hex, base64 or base64url.",
    ]
    rules = [{"sha256": sha256(bytes([number])).hexdigest(), "of": f"after:{number}"} for number in range(1, 9)]
    assert await take(admin, *rules) == ["imported"] * 8
    assert await take(admin, {"secret": "sixteen-letters!", "of": "before:."}) == [
        "Tokens here follow 8 rules of other systems already; a lookup tries no more."
    ]


async def listed(person: Person, name: str) -> dict[str, Any]:
    (token,) = (await person.get("/api/admin/tokens", q=name)).json()["tokens"]
    return dict(token)


async def test_a_token_keeps_the_state_and_the_times_it_had(make_service: MakeService, fake_clock: Clock) -> None:
    service = await make_service(background=False, fake=True)
    admin = await sign_in(service)
    now = int(fake_clock())
    row = {"name": "gate", "secret": "sixteen-letters!", "isActive": False, "createdAt": now - 90 * 86400}
    line = {**row, "lastUsedAt": (now - 60) * 1000, "expiresAt": now + 86400}
    assert (await send(admin, [line])).json()["imported"] == 1
    token = await listed(admin, "gate")
    times = [token[name] for name in ("createdAt", "lastUsedAt", "expiresAt")]
    assert times == [rfc3339(now - 90 * 86400), rfc3339(now - 60), rfc3339(now + 86400)]
    assert (token["status"], await status(service, "sixteen-letters!")) == ("inactive", 401)
    change = {"body": json.dumps({"id": token["id"], "isActive": True}).encode()}
    answer = await admin.ask("PATCH", "/api/admin/tokens", headers={"content-type": "application/json"}, **change)
    assert (answer.status, await status(service, "sixteen-letters!")) == (200, 200)
    said = await take(
        admin, {**row, "createdAt": now + 1}, {**row, "lastUsedAt": "yesterday"}, {**row, "createdAt": 10**18}
    )
    assert said == ["createdAt: this lies ahead."] + [
        f"{name}: write an instant like 2027-01-31T12:00:00Z." for name in ("lastUsedAt", "createdAt")
    ]


@pytest.mark.parametrize("longest", [0, 90])
async def test_a_token_without_an_end_lives_as_long_as_is_allowed(
    make_service: MakeService, fake_clock: Clock, longest: int
) -> None:
    service = await make_service(background=False, fake=True, max_lifetime_days=longest)
    admin = await sign_in(service)
    ends = (None, 0, -1)
    lines = [{"name": f"gate {end}", "secret": f"sixteen-letters{end}", "expiresAt": end} for end in ends]
    result = (await send(admin, lines)).json()
    assert (result["imported"], result["shortened"]) == (3, 3 if longest else 0)
    end = rfc3339(int(fake_clock()) + longest * 86400) if longest else None
    assert [(await listed(admin, line["name"]))["expiresAt"] for line in lines] == [end] * 3


async def test_a_time_without_a_zone_is_of_the_one_that_is_named(make_service: MakeService) -> None:
    service = await make_service(background=False, fake=True)
    admin = await sign_in(service)
    for zone, wanted in (("UTC", "2025-07-01T00:30:50Z"), ("+02:00", "2025-06-30T22:30:50Z"), ("", "")):
        row = {"name": f"in {zone}", "secret": f"secret-of-the-zone-{zone}", "duration": "7days"}
        line = {**row, "createdAt": "2025-07-01 00:30:50.6"}
        result = (await send(admin, [line], **({"zone": zone} if zone else {}))).json()
        if zone:
            assert (await listed(admin, f"in {zone}"))["createdAt"] == wanted
        else:
            assert "names no zone" in result["skipped"][0]["message"]
    assert (await send(admin, [], zone="Mars/Base")).status == 400


async def test_a_name_that_is_taken_gets_a_number_on_request(admin: Person) -> None:
    for name in ("key", "n" * 80):
        lines = [{"name": name, "secret": f"{number}-of-{name[:20]}-letters", **TERMS} for number in range(12)]
        assert (await send(admin, lines, numberNames="true", dryRun="true")).json()["imported"] == 12
        assert (await send(admin, lines, numberNames="true")).json()["imported"] == 12
        # A second run finds the secrets, and makes no more of them.
        again = (await send(admin, lines, numberNames="true")).json()
        assert {row["code"] for row in again["skipped"]} == {"secret_taken"} and again["imported"] == 0
    names = {token["name"] for token in (await admin.get("/api/admin/tokens", q="key")).json()["tokens"]}
    assert names == {"key", *[f"key {number}" for number in range(2, 13)]}
    assert {len(token["name"]) for token in (await admin.get("/api/admin/tokens", q="nnn")).json()["tokens"]} == {80}


async def test_what_windows_writes_is_read_or_named(admin: Person) -> None:
    line = json.dumps({"name": "gate", "secret": "sixteen-letters!", **TERMS})
    assert (await send(admin, [line.encode("utf-8-sig")])).json()["imported"] == 1
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        answer = await send(admin, [line.encode(encoding)])
        assert (answer.status, "UTF-16" in answer.json()["detail"]) == (400, True)
