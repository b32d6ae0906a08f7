"""Explaining: each check, the same bytes as /validate, and nothing spent, counted or shown."""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.app import Service
from service.model import Kind
from tests.api.world import World
from tests.asgi import Answer, Person, holder, sign_in
from tests.builders import DAY, audit, create, dump
from tests.conftest import SERVER_KEY, Clock, MakeService

EXPLAIN = "/api/admin/tokens/explain"
LIMIT = {"limit": 3, "periodSeconds": 86400}


@pytest.fixture(params=[1, pytest.param(16, marks=pytest.mark.slow)])
async def service(request: pytest.FixtureRequest, make_service: MakeService, fake_clock: Clock) -> Service:
    """On fakeredis, because limits are kept by the clock of Redis and these tests stand in time."""
    return await make_service(shards=request.param, fake=True, background=False, trusted_proxies="10.0.0.0/8")


async def explain(person: Person, **question: Any) -> dict[str, Any]:
    answer = await person.post(EXPLAIN, question)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def failing(found: dict[str, Any]) -> list[str]:
    return [one["check"] for one in found["checks"] if one["result"] == "fail"]


def the(found: dict[str, Any], check: str) -> dict[str, Any]:
    one: dict[str, Any] = next(one for one in found["checks"] if one["check"] == check)
    return one


async def ask_gateway(service: Service, secret: str, path: str = "/validate", **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await Person(service, secret, address="10.0.0.1").ask("GET", path, headers=sent)


def as_sent(status: int, headers: dict[str, str], body: str) -> tuple[int, dict[str, str], str]:
    """An answer without what names its own request."""
    kept = {name: value for name, value in headers.items() if name not in ("x-request-id", "date", "server")}
    return status, kept, body.partition('"request_id"')[0]


async def same_bytes(admin: Person, secret: str, *, path: str = "/validate", scopes: tuple[str, ...] = ()) -> None:
    """/validate answers what the explanation forecast; the seconds of a limit may turn in between."""
    for _ in range(20):
        answer = (await explain(admin, token=secret, path=path, scopes=list(scopes), address="203.0.113.9"))["answer"]
        needs = {"X_Required_Scope": " ".join(scopes)} if scopes else {}
        got = await ask_gateway(admin.service, secret, path, X_Forwarded_For="203.0.113.9", **needs)
        told = as_sent(answer["status"], answer["headers"], answer["body"])
        said = as_sent(got.status, got.headers, got.body.decode())
        if told == said or got.status != 429:
            break
    assert told == said


def swap(secret: str) -> str:
    place = next(number for number in range(4, 67) if secret[number] != secret[number + 1])
    return secret[:place] + secret[place + 1] + secret[place] + secret[place + 2 :]


def other_digit(secret: str) -> str:
    return secret[:9] + ("0" if secret[9] != "0" else "1") + secret[10:]


# The troubleshooting list of the seed: typos, and the header's format.
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (swap, "two neighbouring characters are swapped"),
        (other_digit, "one character is mistyped"),
        (lambda secret: secret[:20] + secret[21:], "one character is missing"),
        (lambda secret: secret[:20] + secret[19:], "one character is too many"),
        (lambda secret: secret[:40], "has 40 characters: a managed token has 68; it is cut off"),
        (lambda secret: secret * 2, "it is too long"),
        (lambda secret: "RTK_" + secret[4:].upper(), "capital letters"),
        (lambda secret: f"Bearer {secret}", "the word Bearer is part of it"),
        (lambda secret: f"Authorization: Bearer {secret}", "the header's name is part of it"),
        (lambda secret: f'"{secret}"', "quotation marks"),
        (lambda secret: f"{secret[:30]}\n {secret[30:]}", "line breaks"),
        (lambda secret: f"****-****-****-{secret[-8:]}", "the masked form"),
        (lambda secret: "aaa.bbb.ccc", "a JWT"),
        (lambda secret: "hello", "does not begin with rtk_ and has 5 characters"),
        (lambda secret: secret[:60] + "zzzzzzzz", "characters other than 0-9 and a-f"),
        (lambda secret: secret[:12] + secret[12:][::-1], "never issued"),
    ],
)
async def test_each_typing_error_is_named(admin: Person, spoil: Callable[[str], str], said: str) -> None:
    found = await explain(admin, token=spoil((await admin.create("typed"))["token"]))
    assert (found["outcome"], failing(found)) == ("malformed", ["form"])
    assert said in the(found, "form")["detail"]
    assert found["answer"]["status"] == 401


async def test_a_missing_prefix_is_seen_though_a_session_has_its_form(admin: Person) -> None:
    secret = (await admin.create("typed"))["token"]
    found = await explain(admin, token=secret[4:])
    assert (found["outcome"], failing(found)) == ("unknown", ["known"])
    assert "if rtk_ stood before it" in the(found, "form")["detail"]


async def test_nothing_presented_is_absent(admin: Person) -> None:
    found = await explain(admin, token=" ")
    assert (found["outcome"], failing(found), found["answer"]["status"]) == ("absent", ["form"], 401)


Make = Callable[[Person, Clock], Awaitable[str]]


async def _plain(admin: Person, clock: Clock) -> str:
    secret: str = (await admin.create("t", scopes=["a"], subject="shop"))["token"]
    return secret


async def _off(admin: Person, clock: Clock) -> str:
    token = await admin.create("t")
    await admin.ask("PATCH", "/api/admin/tokens", json_body={"id": token["id"], "isActive": False})
    return str(token["token"])


async def _revoked(admin: Person, clock: Clock) -> str:
    token = await admin.create("t")
    await admin.ask("DELETE", "/api/admin/tokens", query={"id": token["id"]})
    return str(token["token"])


async def _expired(admin: Person, clock: Clock) -> str:
    secret = (await create(admin.service, "t", days=0.5)).secret
    clock.forward(0.6 * DAY)
    return secret


async def _expired_and_swept(admin: Person, clock: Clock) -> str:
    secret = await _expired(admin, clock)
    await admin.service.rules.managed.sweeper.sweep()
    return secret


async def _elsewhere(admin: Person, clock: Clock) -> str:
    return str((await admin.create("t", allowedNetworks=["192.0.2.0/24"]))["token"])


async def _limited(admin: Person, clock: Clock) -> str:
    return str((await admin.create("t", limits=[LIMIT]))["token"])


async def _over_its_limit(admin: Person, clock: Clock) -> str:
    secret = await _limited(admin, clock)
    for _ in range(3):
        await ask_gateway(admin.service, secret)
    return secret


async def _used_up(admin: Person, clock: Clock) -> str:
    secret = str((await admin.create("t", maxUses=1))["token"])
    await ask_gateway(admin.service, secret)
    return secret


async def _session(admin: Person, clock: Clock) -> str:
    return (await sign_in(admin.service, "uma")).secret


async def _replaced(admin: Person, clock: Clock) -> str:
    token = await admin.create("t")
    await admin.post(f"/api/admin/tokens/{token['id']}/rotate", {"overlapSeconds": 0})
    return str(token["token"])


async def _one_time(admin: Person, clock: Clock) -> str:
    return (await admin.service.rules.one_time.issue(address="", anonymous=False)).secret


ONCE = "/validate/one-time"
# How to make the token, the question, the outcome, the check that fails, words of its answer.
CASES: dict[str, tuple[Make, dict[str, Any], str, str, str]] = {
    "good": (_plain, {}, "active", "", ""),
    "good, with its scope": (_plain, {"scopes": ("a",)}, "active", "", ""),
    "good, by a path with slashes": (_plain, {"path": "//validate/envoy/x"}, "active", "", ""),
    "scope": (_plain, {"scopes": ("b", "a")}, "insufficient_scope", "scopes", "It lacks b."),
    "deactivated": (_off, {}, "inactive", "active", "by admin"),
    "revoked": (_revoked, {}, "revoked", "active", "by admin"),
    "expired": (_expired, {}, "expired", "expired", "It expired on "),
    "expired and swept": (_expired_and_swept, {}, "expired", "expired", "It expired on "),
    "network": (_elsewhere, {}, "network_denied", "network", "203.0.113.9 is outside"),
    "limited": (_limited, {}, "active", "", ""),
    "over its limit": (_over_its_limit, {}, "rate_limited", "limit", "the next one is free in"),
    "used up": (_used_up, {}, "uses_exhausted", "uses", "0 of 1 uses are left"),
    "replaced by a rotation": (_replaced, {}, "revoked", "active", "the token was rotated"),
    "session": (_session, {}, "active", "", ""),
    "session for a one-time path": (_session, {"path": ONCE}, "malformed", "form", "takes a one-time token"),
    "one-time": (_one_time, {"path": ONCE}, "active", "", ""),
    "one-time with a scope": (_one_time, {"path": ONCE, "scopes": ("a",)}, "insufficient_scope", "scopes", "lacks a"),
    "one-time for a plain path": (_one_time, {}, "malformed", "form", "has the form of a one-time token"),
}


@pytest.mark.parametrize("case", CASES)
async def test_every_outcome_names_its_check_answers_what_validate_does_and_changes_nothing(
    admin: Person, clock: Clock, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    make, question, outcome, check, words = CASES[case]
    secret = await make(admin, clock)
    admin = await sign_in(admin.service)
    await admin.service.rules.usage.flush()
    caplog.set_level(logging.DEBUG)
    before = await dump(admin.service)
    found = await explain(admin, token=secret, address="203.0.113.9", **question)
    assert await dump(admin.service) == before
    assert (found["outcome"], failing(found)) == (outcome, [check] if check else [])
    assert not check or words in the(found, check)["detail"]
    assert secret not in str(found)
    assert secret not in caplog.text
    assert secret not in str(await audit(admin.service))
    await same_bytes(admin, secret, **question)


async def test_who_ended_a_token_and_when_is_read_from_the_audit_log(admin: Person, clock: Clock) -> None:
    token = await admin.create("t")
    clock.forward(60)
    await admin.ask("PATCH", "/api/admin/tokens", json_body={"id": token["id"], "isActive": False})
    entry = next(one for one in await audit(admin.service) if one.action == "token.deactivated")
    clock.forward(60)
    one = the(await explain(admin, id=token["id"]), "active")
    assert one["by"] == entry.actor == "admin"
    answer = await admin.get("/api/admin/audit", action="token.deactivated")
    assert one["at"] == answer.json()["entries"][0]["at"]


async def test_an_old_secret_of_a_token_that_was_revoked_since_is_told_of_the_revocation(admin: Person) -> None:
    token = await admin.create("t")
    await admin.post(f"/api/admin/tokens/{token['id']}/rotate", {"overlapSeconds": 0})
    await admin.ask("DELETE", "/api/admin/tokens", query={"id": token["id"]})
    one = the(await explain(admin, token=token["token"]), "active")
    assert one["detail"].startswith("It was revoked on ") and one["by"] == "admin"


async def test_asking_often_costs_no_use_no_rate_and_no_count(admin: Person) -> None:
    token = await admin.create("t", maxUses=2, limits=[{"limit": 2, "periodSeconds": 86400}])
    spent_once = await _one_time(admin, Clock())
    for _ in range(5):
        assert (await explain(admin, token=token["token"]))["outcome"] == "active"
        assert (await explain(admin, id=token["id"]))["outcome"] == "active"
        assert (await explain(admin, token=spent_once, path=ONCE))["outcome"] == "active"
    await admin.service.rules.usage.flush()
    usage = (await admin.get(f"/api/admin/tokens/{token['id']}/usage")).json()
    assert (usage["lastUsedAt"], sum(day["allowed"] + day["denied"] for day in usage["days"])) == (None, 0)
    assert [(await ask_gateway(admin.service, token["token"])).status for _ in range(3)] == [200, 200, 401]
    assert [(await ask_gateway(admin.service, spent_once, ONCE)).status for _ in range(2)] == [200, 401]


async def test_the_limit_is_told_as_of_the_instant_asked_about(admin: Person, clock: Clock) -> None:
    secret = await _over_its_limit(admin, clock)
    one = the(await explain(admin, token=secret), "limit")
    assert (one["result"], the(await explain(admin, token=secret, at=one["at"]), "limit")["result"]) == ("fail", "pass")
    token = await admin.create("short")
    assert (await explain(admin, id=token["id"], at=token["expiresAt"]))["outcome"] == "expired"


async def test_a_token_without_an_end_passes_the_check_of_its_end(make_service: MakeService) -> None:
    service = await make_service(max_lifetime_days=0)
    secret = (await create(service, "t", days=0)).secret
    one = the(await explain(await sign_in(service), token=secret), "expired")
    assert (one["result"], one["detail"]) == ("pass", "It never expires.")


async def test_checks_of_scopes_and_networks_tell_what_was_asked_for_and_what_is_held(admin: Person) -> None:
    secret = (await admin.create("t", scopes=["a"], allowedNetworks=["192.0.2.0/24"]))["token"]
    found = await explain(admin, token=secret, scopes=["b", "c"], address="198.51.100.1")
    told = [(one["check"], one["asked"], one["held"]) for one in found["checks"] if "asked" in one]
    assert told == [("scopes", ["b", "c"], ["a"]), ("network", ["198.51.100.1"], ["192.0.2.0/24"])]


async def test_what_a_limit_leaves_is_forecast_request_by_request(admin: Person) -> None:
    terms = {"limit": 4, "periodSeconds": 86400, "burst": 3}
    secret = (await admin.create("t", limits=[terms, {"name": "day", "limit": 9, "periodSeconds": 86400}]))["token"]
    for left in ((2, 8), (1, 7), (0, 6), (0, 6)):
        told = (await explain(admin, token=secret))["answer"]
        got = await ask_gateway(admin.service, secret)
        assert told["status"] == got.status
        for said in (told["headers"]["ratelimit"], got.headers["ratelimit"]):
            assert re.findall(r'"([a-z]+)";r=(\d)', said) == [("default", f"{left[0]}"), ("day", f"{left[1]}")]
    assert got.status == 429
    said = the(await explain(admin, token=secret), "limit")["detail"]
    assert "default: 4 requests in 86400 s are used up" in said
    assert "day: 9 requests in 86400 s, 6 left." in said


async def test_a_request_that_costs_more_is_explained_at_its_cost(admin: Person) -> None:
    secret = (await admin.create("t", limits=[{"limit": 5, "periodSeconds": 86400}]))["token"]
    for cost, result in ((5, "pass"), (6, "fail"), (1, "pass")):
        check = the(await explain(admin, token=secret, cost=cost), "limit")
        assert check["result"] == result
        assert ("never admit one that costs 6: 5 is the most at once" in check["detail"]) == (cost == 6)
        assert "at" not in check


async def test_the_server_key_is_told(make_service: MakeService) -> None:
    before = await make_service(background=False, secret_key="k" * 40)
    service = await make_service(background=False, secret_key=SERVER_KEY, secret_key_previous="k" * 40)
    admin = await sign_in(service)
    old, new = (await create(before, "old")).secret, (await create(service, "new")).secret
    for secret, which in ((old, "previous"), (new, "present")):
        assert which in the(await explain(admin, token=secret), "server_key")["detail"]


async def test_a_record_written_by_others_fails_by_its_key(admin: Person) -> None:
    created = await create(admin.service, "t")
    shards = admin.service.stores.shards
    key = admin.service.rules.authority.digest(Kind.MANAGED, created.secret.encode())
    shard = shards.of_digest(key)
    await shard.link.execute("SET", shard.keys.credential(key), b"x" * 80)
    found = await explain(admin, token=created.secret)
    assert (found["outcome"], failing(found)) == ("unknown", ["server_key"])


async def test_a_session_falls_with_its_account(admin: Person) -> None:
    secret = await _session(admin, Clock())
    accounts = admin.service.rules.accounts.known
    kept = {name: account for name in ("admin", "vera") if (account := accounts.get(name)) is not None}
    accounts.replace(kept)
    found = await explain(admin, token=secret)
    assert (found["outcome"], failing(found)) == ("unknown", ["account"])


async def test_a_viewer_may_ask_and_so_may_a_token_that_reads(service: Service, admin: Person) -> None:
    token = await admin.create("t")
    for person in (await sign_in(service, "vera"), await holder(service, "tokens:read")):
        assert (await explain(person, id=token["id"]))["outcome"] == "active"
    assert (await (await holder(service, "other")).post(EXPLAIN, {"id": token["id"]})).status == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"token": "x", "id": "0" * 16}, 400),
        ({"id": "0" * 16}, 404),
        ({"token": "x", "path": "/validated"}, 400),
        ({"token": "x", "at": "2020-01-01T00:00:00Z"}, 400),
        ({"token": "x", "at": "yesterday"}, 400),
        # No calendar tells the end of its last month.
        ({"token": "x", "at": "9999-12-31T23:59:59Z"}, 400),
        ({"token": "x", "scopes": ["No Scope"]}, 400),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(admin: Person, body: dict[str, Any], status: int) -> None:
    assert (await admin.post(EXPLAIN, body)).status == status


def test_the_answer_is_as_the_document_describes_and_as_the_socket_has_it(world: World) -> None:
    secret = world.secret(scopes=["a"], name="Jürgen's")
    for token, scope in ((secret, "a"), (secret, "b"), (secret[:-1], "a")):
        found = world.post(EXPLAIN, {"token": token, "path": f"/validate?required_scope={scope}"}, bearer=world.viewer)
        told = found.json()["answer"]
        got = world.validate(token, f"/validate?required_scope={scope}")
        assert as_sent(told["status"], told["headers"], told["body"]) == as_sent(
            got.status, dict(got.headers), got.body.decode()
        )
