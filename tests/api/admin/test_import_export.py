"""Import and export over HTTP: lines in, lines out, and nobody but administrators."""

import json
from typing import Any

import msgspec
import pytest

from service.api.admin import import_export
from service.api.admin.schemas.import_export import export_lines, import_line
from service.api.admin.schemas.imported import Reading
from service.app import Service
from service.errors import StoreUnavailable
from service.model import ManagedToken, RateLimit
from service.store.managed.records import Record
from service.tokens.managed.import_admission import Exported
from service.tokens.secret import with_checksum
from tests.asgi import Answer, Person, holder, sign_in
from tests.conftest import MakeService

EXPORT = "/api/admin/tokens/export"
IMPORT = "/api/admin/tokens/import"
NDJSON = "application/x-ndjson"
SECRET = "sk_live_51H8xyzABCdef"
NONE_SKIPPED = {"shortened": 0, "skipped": [], "moreSkipped": 0}


async def send(person: Person, lines: list[Any], *, media_type: str = NDJSON, **query: Any) -> Answer:
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return await person.ask("POST", IMPORT, body=body, query=query, headers={"content-type": media_type})


async def test_what_was_exported_comes_back_exactly(make_service: MakeService, namespace: str) -> None:
    source = await make_service(shards=16)
    other = await make_service(shards=16, namespace=f"{namespace}-b")
    admin, there = await sign_in(source), await sign_in(other)
    # With and without what stands there where nothing is given: the seal covers both.
    rates = [[], [{"limit": 5, "periodSeconds": 60}], [{"limit": 5, "periodSeconds": 60, "burst": 5}]]
    secrets = [
        (await admin.create(f"gate {number}", scopes=["a:b"], limits=rates[number % 3]))["token"]
        for number in range(120)
    ]
    answer = await admin.get(EXPORT)
    assert answer.headers["content-type"] == NDJSON
    assert answer.headers["cache-control"] == "no-store"
    assert "tokens.ndjson" in answer.headers["content-disposition"]
    assert len(answer.lines()) == 120
    assert not [secret for secret in secrets if secret.encode() in answer.body]
    answered = await there.ask("POST", IMPORT, body=answer.body, headers={"content-type": NDJSON})
    assert (answered.status, answered.json()) == (200, {"imported": 120, "byDigest": 0, **NONE_SKIPPED})
    assert (await there.get(EXPORT)).lines() == answer.lines()
    assert (await Person(other, secrets[7]).get("/validate")).status == 200
    again = (await send(there, answer.lines())).json()
    assert again["imported"] == 0
    assert [row["code"] for row in again["skipped"]] == ["exists"] * 120
    named_twice = answer.body.split(b"\n")[0].replace(b'"version":1', b'"version":1,"version":1')
    (refused,) = (await send(there, [named_twice])).json()["skipped"]
    assert refused["message"] == "The member 'version' is given twice."
    # An empty text is no date, and says of none that there is none.
    (refused,) = (await send(there, [{**answer.lines()[0], "revokedAt": ""}])).json()["skipped"]
    assert refused["message"] == "revokedAt: write an instant like 2027-01-31T12:00:00Z."


def test_each_field_of_a_record_is_exported_and_taken_in() -> None:
    """But for counts: of questions, and of uses. A field that is forgotten would be lost, and break the seal."""
    values = {str: "x", int: 7, bool: False, bytes: bytes(range(32)), dict[str, str]: {"team": "ops"}}
    values |= {tuple[str, ...]: ("a:b",), tuple[RateLimit, ...]: (RateLimit(5, 60, 2),)}
    fields = [field for field in msgspec.structs.fields(ManagedToken) if field.name not in ("contests", "last_hour")]
    told = {field.name: values[field.type] for field in fields}
    token = ManagedToken(**told | {"token_id": "00a1b2c3d4e5f607"})
    (line,) = export_lines([Record(token, "ab" * 16)])
    assert import_line(line.strip(), Reading(0, 0, None)) == Exported(token, "ab" * 16)


async def test_an_export_has_every_status_unless_asked_for_one_and_is_noted(admin: Person) -> None:
    kept, gone = await admin.create("kept"), await admin.create("gone")
    await admin.ask("DELETE", "/api/admin/tokens", query={"id": gone["id"]})
    assert {line["name"] for line in (await admin.get(EXPORT)).lines()} == {"kept", "gone"}
    only = (await admin.get(EXPORT, status="active")).lines()
    assert [(line["id"], line["revokedAt"]) for line in only] == [(kept["id"], None)]
    assert (await admin.get(EXPORT, q="nothing like it")).body == b""
    # Nothing leaves with the header fields alone, and nothing is noted.
    for path, query in ((EXPORT, {}), ("/api/admin/audit", {"format": "csv"})):
        assert (await admin.ask("HEAD", path, query=query)).body == b""
    noted = (await admin.get("/api/admin/audit", action="export.made")).json()["entries"]
    assert [entry["target"] for entry in noted] == ["tokens"] * 3
    assert {"format": "ndjson", "status": "active"} in [entry["after"] for entry in noted]


async def test_lines_that_cannot_be_taken_in_are_named_and_the_rest_is(service: Service, admin: Person) -> None:
    await admin.create("taken")
    terms = {"duration": "1month"}
    lines = [
        {"name": "in clear", "secret": SECRET, "scopes": ["a:b"], "createdBy": "old system", **terms},
        {"name": "as a digest", "sha256": "AB" * 32, "expiresAt": "2027-01-31T12:00:00Z"},
        b"",
        b"not json",
        {"name": "taken", "secret": "another-secret-here", **terms},
        {"name": "both", "secret": "another-secret-here", "sha256": "ab" * 32, **terms},
        {"name": "neither", **terms},
        {"name": "short", "secret": "short", **terms},
        {"name": "no end", "secret": "another-secret-here"},
        {"name": "unknown", "secret": "another-secret-here", "color": "red", **terms},
        b'{"name": "twice", "name": "x", "secret": "another-secret-here", "duration": "1month"}',
        {"name": "torn export", "digest": "x" * 43},
        {"name": "fine", "secret": "another-secret-here", **terms, "metadata": {"digest": "is no digest"}},
    ]
    result = (await send(admin, lines)).json()
    assert result["imported"] == 3
    assert [(row["line"], row["name"], row["code"]) for row in result["skipped"]] == [
        (4, "", "invalid_request"),
        (5, "taken", "name_taken"),
        (6, "both", "invalid_request"),
        (7, "neither", "invalid_request"),
        (8, "short", "invalid_request"),
        (9, "no end", "invalid_request"),
        (10, "unknown", "invalid_request"),
        (11, "", "invalid_request"),
        (12, "torn export", "invalid_request"),
    ]
    assert all(row["message"] for row in result["skipped"])
    holder = (await admin.get("/api/admin/tokens", q="taken")).json()["tokens"][0]["id"]
    assert result["skipped"][1]["message"].startswith(
        f"Token {holder} (active, made by admin) is called taken: rename or"
    )
    assert (await Person(service, SECRET).get("/validate")).status == 200
    shown = (await admin.get("/api/admin/tokens", q="in clear")).json()["tokens"][0]
    assert (shown["createdBy"], shown["token"]) == ("old system", "****-****-****-" + SECRET[-5:])
    assert SECRET not in json.dumps((await admin.get("/api/admin/audit")).json())


async def test_a_dry_run_answers_the_same_and_writes_nothing(service: Service, admin: Person) -> None:
    # Twice the same name in one slice, where tokens that belong into one shard are taken in together, and far apart.
    names = [number - number % 2 if number < 40 else number % 200 for number in range(210)]
    lines = [
        {"name": f"gate {name}", "secret": f"secret-of-another-{number}", "duration": "1month"}
        for number, name in enumerate(names)
    ]
    tried = (await send(admin, lines, dryRun="true")).json()
    assert tried["imported"] == 185
    assert [row["line"] for row in tried["skipped"]] == [*range(2, 41, 2), *range(201, 211, 2)]
    assert (await admin.get(EXPORT)).body == b""
    assert (await Person(service, "secret-of-another-1").get("/validate")).status == 401
    done = (await send(admin, lines)).json()
    # Of a name that an earlier line took, there is now a token to tell.
    assert {row["message"] for row in tried["skipped"]} == {"An earlier row or a token has this name."}
    assert all(row.pop("message") for row in tried["skipped"] + done["skipped"])
    assert done == tried


async def test_of_two_rows_with_one_name_the_earlier_comes_in_though_it_is_asked_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Redis was busy when it came to the earlier one."""
    store, asked = service.rules.managed.imports._store, []
    put = store.put

    async def busy_at_first(incoming: Any, now: int) -> Any:
        asked.append(len(incoming))
        if len(asked) == 1:
            raise StoreUnavailable("busy")
        return await put(incoming, now)

    monkeypatch.setattr(store, "put", busy_at_first)
    # So many between them that they are in two slices where all tokens are in one shard.
    names = ["one", *map(str, range(20)), "one"]
    lines = [
        {"name": name, "secret": f"secret-of-another-{number}", "duration": "1month"}
        for number, name in enumerate(names)
    ]
    answer = (await send(await sign_in(service), lines)).json()
    assert (answer["imported"], [row["line"] for row in answer["skipped"]]) == (21, [22])


async def test_the_holder_of_an_imported_secret_manages_it_like_any_other(service: Service, admin: Person) -> None:
    line = {"name": "gate", "secret": SECRET, "duration": "1month", "scopes": ["self:rotate", "introspect"]}
    await send(admin, [line])
    person = Person(service, SECRET)
    own = (await person.get("/api/tokens/self")).json()
    assert (own["name"], own["imported"]) == ("gate", True)
    form = {"content-type": "application/x-www-form-urlencoded"}
    asked = await person.ask("POST", "/oauth2/introspect", body=f"token={SECRET}".encode(), headers=form)
    assert asked.json()["jti"] == own["id"]
    made = (await person.post("/api/tokens/self/rotate", {"overlapSeconds": 60})).json()["token"]
    rotated = made["token"]
    assert (rotated[:4], made["imported"]) == ("rtk_", False)
    assert [(await Person(service, secret).get("/validate")).status for secret in (SECRET, rotated)] == [200, 200]
    answer = await Person(service).ask("POST", "/oauth2/revoke", body=f"token={SECRET}".encode(), headers=form)
    assert answer.status == 200
    assert [(await Person(service, secret).get("/validate")).status for secret in (SECRET, rotated)] == [401, 401]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_administrators_move_tokens(service: Service, method: str) -> None:
    path = EXPORT if method == "GET" else IMPORT
    assert (await Person(service).ask(method, path)).status == 401
    for person in (
        await sign_in(service, "vera"),
        await sign_in(service, "uma"),
        *([await holder(service, "tokens:*")] if method == "GET" else []),
        await holder(service, "tokens:write", "tokens:read"),
    ):
        answer = await person.ask(method, path, body=b"{}" if method == "POST" else b"")
        assert (answer.status, answer.json()["code"]) in ((403, "forbidden"), (403, "insufficient_scope"))


async def test_the_body_must_be_lines_and_not_too_many(admin: Person) -> None:
    answer = await send(admin, [{}], media_type="application/json")
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
    answer = await send(admin, [b" " * (1024 * 1024 + 1)])
    assert (answer.status, answer.json()["code"]) == (413, "payload_too_large")
    answer = await send(admin, [], dryRun="perhaps")
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "dryRun")
    assert (await send(admin, [])).json() == {"imported": 0, "byDigest": 0, **NONE_SKIPPED}
    assert (await admin.get(EXPORT, color="red")).status == 400


async def test_of_lines_that_are_not_taken_in_a_thousand_are_told_and_the_others_counted(admin: Person) -> None:
    # Lines in which no reader of JSON finds any: a mebibyte may have half a million.
    answer = (await send(admin, [b"x"] * 1020)).json()
    assert (len(answer["skipped"]), answer["moreSkipped"]) == (1000, 20)
    assert [row["line"] for row in answer["skipped"]] == [*range(1, 1001)]


async def test_a_line_is_as_long_as_a_token_may_be_at_most(admin: Person) -> None:
    # The longest that an export can write, with nothing but signs of four bytes in its texts.
    metadata = {f"{number:02}" + "\U0001f511" * 62: "\U0001f511" * 256 for number in range(20)}
    longest = {"description": "\U0001f511" * 500, "metadata": metadata, "scopes": [f"{n:064}" for n in range(50)]}
    new = {"name": "\U0001f511" * 80, "secret": "s" * 1024, "duration": "1month", **longest}
    line = json.dumps(new, ensure_ascii=False).encode()
    assert (await send(admin, [line, b"{" + b" " * 40 * 1024 + b"}", {}])).json()["skipped"] == [
        {"line": 2, "name": "", "code": "payload_too_large", "message": "A line may have 40 KiB."},
        {"line": 3, "name": "", "code": "invalid_request", "message": "name: is missing."},
    ]
    back = (await admin.get(EXPORT)).body
    assert [row["code"] for row in (await send(admin, [back])).json()["skipped"]] == ["exists"]


async def test_lines_are_read_a_few_bytes_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two long ones others have a turn."""
    read: list[int] = []
    slices = import_export._read

    def counted(lines: list[tuple[int, bytes]], *of: Any) -> Any:
        read.append(len(lines))
        return slices(lines, *of)

    monkeypatch.setattr(import_export, "_read", counted)
    await send(await sign_in(service), [b"x" * 30_000] * 4 + [b"x"] * 4)
    assert read == [1, 1, 1, 1, 4]


async def test_a_long_line_is_taken_in_by_itself(
    service: Service, admin: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    async def take(rows: list[Any], *of: Any, **how: Any) -> Any:
        steps.append(len(rows))
        return await was(rows, *of, **how)

    was = service.rules.managed.imports.take
    monkeypatch.setattr(service.rules.managed.imports, "take", take)
    metadata = {f"{number}": 250 * "\U0001f511" for number in range(20)}
    rows = [{"name": f"ci {n}", "sha256": f"{n:064x}", "duration": "1month", "metadata": metadata} for n in range(5)]
    body = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
    answer = await admin.ask("POST", IMPORT, body=body, headers={"Content-Type": "application/x-ndjson"})
    assert (answer.json()["imported"], steps) == (5, [1, 1, 1, 1, 1])


async def test_a_secret_that_was_made_here_gets_no_second_token(service: Service, admin: Person) -> None:
    """By which it would be accepted again once nobody remembers that the first one was revoked."""
    living, ended = [(await admin.create(name))["token"] for name in ("living", "ended")]
    await Person(service, ended).ask("DELETE", "/api/tokens/self")
    ours, elsewhere = (living, ended, admin.secret), with_checksum("5" * 56)
    lines = [
        {"name": f"again {number}", "secret": one, "duration": "7days"} for number, one in enumerate((*ours, elsewhere))
    ]
    for dry_run in ("true", "false"):
        answer = (await send(admin, lines, dryRun=dry_run)).json()
        assert [(row["line"], row["code"]) for row in answer["skipped"]] == [(at, "secret_taken") for at in (1, 2, 3)]
    assert (await Person(service, elsewhere).get("/validate")).status == 200
