"""The wire of managed tokens: changed one by one, several at once, and revoked for good."""

from typing import Any

import pytest
import redis

from service.store.driver.keys import DIGEST_BYTES, Keys
from service.store.managed.records import LETTERS
from tests.api.admin.test_tokens_create import days_ahead
from tests.api.admin.test_tokens_list import names
from tests.api.wire import Answer
from tests.api.world import BY_ONE_PROCESS_AND_BY_FOUR, TOKENS, World, fresh

pytestmark = BY_ONE_PROCESS_AND_BY_FOUR


def revoke(world: World, query: str) -> Answer:
    return world.ask("DELETE", f"{TOKENS}?{query}", bearer=world.admin)


def test_who_revokes_by_a_record_that_was_changed_outside_is_told_so(world: World) -> None:
    token, settings = world.create(), world.running.environment
    with redis.Redis.from_url(settings["TOKENS_REDIS_URL"]) as client:
        client.hset(Keys(settings["TOKENS_NAMESPACE"], 0).metadata(token["id"]), LETTERS["digest"], b"x" * DIGEST_BYTES)
    revoke(world, f"id={token['id']}").problem(409, "record_tampered")


def test_a_deactivated_token_is_refused_and_an_activated_one_allowed_again(world: World) -> None:
    token = world.create()
    for active, word, status in ((False, "deactivated", 401), (True, "activated", 200)):
        for _ in range(2):  # saying it twice is no error
            answer = world.change(id=token["id"], isActive=active)
            assert answer.status == 200
            body = answer.json()
            assert set(body) == {"message", "token"}
            assert body["message"] == f"API token {word} successfully"
            assert body["token"]["isActive"] is active
            assert body["token"]["token"] == f"****-****-****-{token['token'][-8:]}"
        assert world.validate(token["token"]).status == status
        assert world.shown(token["id"])["isActive"] is active


@pytest.mark.parametrize(
    "change",
    [
        {"description": "another"},
        {"subject": "svc:new"},
        {"subject": ""},
        {"scopes": ["a:b", "c"]},
        {"metadata": {"k": "v"}},
        {"limits": [{"limit": 5, "periodSeconds": 10, "burst": 2}]},
        {"limits": []},
        {"rateLimit": {"limit": 5, "periodSeconds": 10, "burst": 2}},
        {"rateLimit": None},
        {"expiresAt": days_ahead(9)},
        {"allowedNetworks": ["127.0.0.0/8"]},
        {"maxUses": 3},
        {"maxUses": None},
    ],
)
def test_each_field_can_be_changed_and_the_rest_stays(world: World, change: dict[str, Any]) -> None:
    before = world.create(limits=[{"limit": 9, "periodSeconds": 60}], maxUses=9)
    answer = world.change(id=before["id"], **change)
    assert answer.status == 200
    assert answer.json()["message"] == "API token updated successfully"
    after = world.shown(before["id"])
    uses = {"usesLeft": change["maxUses"]} if "maxUses" in change else {}
    # The version of one that had these terms already is the same.
    masked = {name: after[name] for name in ("token", "usage14d", "version")}
    full = {"name": "default", "used": 0, "remaining": 2, "resetSeconds": 0}
    held = [change["rateLimit"]] if change.get("rateLimit") else change.get("limits", before["limits"])
    held = [] if change.get("rateLimit", held) is None else held
    one = {name: held[0][name] for name in ("limit", "periodSeconds", "burst")} if held else None
    limits = {"limits": [{**full, **limit} for limit in held], "rateLimit": one}
    assert after == {**before, **masked, **change, **uses, **limits}


def test_a_token_that_was_changed_since_it_was_read_is_left_as_it_is(world: World) -> None:
    token = world.create(scopes=["orders:read", "orders:write"])
    read = {"id": token["id"], "version": token["version"]}
    world.validate(token["token"])
    narrowed = world.change(**read, scopes=["orders:read"])
    assert (narrowed.status, narrowed.json()["token"]["version"]) == (200, token["version"] + 1)
    for change in ({"scopes": ["orders:read", "orders:write", "orders:list"]}, {"isActive": False}):
        world.change(**read, **change).problem(409, "token_changed")
    shown = world.shown(token["id"])
    assert (shown["scopes"], shown["isActive"]) == (["orders:read"], True)
    assert world.change(id=token["id"], version=shown["version"], isActive=False).status == 200


def test_a_change_that_comes_again_with_the_version_that_was_read_is_done_already(world: World) -> None:
    """As of somebody who got no answer to the first try."""
    token = world.create(scopes=["orders:read", "orders:write"])
    read = {"id": token["id"], "version": token["version"]}
    for _ in range(2):
        again = world.change(**read, scopes=["orders:read"])
        assert (again.status, again.json().get("token", {}).get("version")) == (200, token["version"] + 1)


def test_several_tokens_have_no_one_version(world: World) -> None:
    problem = world.change(ids=[world.create()["id"]], version=1, isActive=False).problem(400, "invalid_request")
    assert [error["field"] for error in problem["errors"]] == ["version"]


@pytest.mark.parametrize("nobody", ["", None])
def test_a_token_whose_subject_is_taken_away_speaks_for_nobody(world: World, nobody: str | None) -> None:
    token = world.create(subject="old")
    assert world.change(id=token["id"], subject=nobody).json()["token"]["subject"] == ""
    assert world.validate(token["token"]).header("remote-user") == "-"


def test_a_changed_subject_and_scope_hold_from_the_next_validation_on(world: World) -> None:
    token = world.create(subject="old", scopes=["old"])
    world.change(id=token["id"], subject="new", scopes=["new"])
    answer = world.validate(token["token"])
    assert (answer.header("x-token-subject"), answer.header("x-token-scopes")) == ("new", "new")
    assert world.validate(token["token"], "/validate?required_scope=old").status == 403


def test_a_token_is_renamed_and_its_old_name_free(world: World) -> None:
    old, new = fresh("old name"), fresh("new name")
    token = world.create(name=old)
    assert world.change(id=token["id"], name=new).json()["token"]["name"] == new
    assert world.validate(token["token"]).header("x-token-name") == new.replace(" ", "%20")
    next_holder = world.create(name=old)
    refusal = world.change(id=token["id"], name=old).problem(409, "name_taken")
    assert refusal["detail"].startswith(f"Token {next_holder['id']} (active, made by admin) is called {old}: ")
    assert names(world, q=new) == [new]


def test_a_token_is_not_switched_off_by_a_change_that_is_refused(world: World) -> None:
    taken, token = world.create(), world.create()
    world.change(id=token["id"], isActive=False, name=taken["name"]).problem(409, "name_taken")
    assert world.validate(token["token"]).status == 200
    assert world.shown(token["id"])["isActive"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"isActive": True}, "id"),
        ({"id": "0" * 16}, "isActive"),
        ({"id": "0" * 16, "ids": ["0" * 16], "isActive": True}, "id"),
        ({"ids": [], "isActive": True}, "ids"),
        ({"id": "not an id", "isActive": True}, "id"),
        ({"id": "0" * 16, "isActive": "yes"}, "isActive"),
        ({"ids": ["0" * 16], "name": "x"}, "ids"),
        ({"id": "0" * 16, "expiresAt": ""}, "expiresAt"),
        ({"filter": {"expiresBefore": ""}, "expected": 0, "isActive": False}, "expiresBefore"),
        ({"filter": {"q": "x"}, "isActive": False}, "expected"),
        ({"filter": {}, "expected": 0, "isActive": False}, "filter"),
        ({"filter": {"neverUsed": False}, "expected": 0, "isActive": False}, "filter"),
        ({"filter": {"surprise": 1}, "expected": 0, "isActive": False}, "filter.surprise"),
        ({"id": "0" * 16, "createdBy": "me"}, "createdBy"),
    ],
)
def test_a_change_that_cannot_be_understood_is_refused(world: World, body: dict[str, Any], field: str) -> None:
    problem = world.change(**body).problem(400, "invalid_request")
    assert problem["errors"][0]["field"] == field


def test_what_never_was_and_what_was_revoked_cannot_be_changed(world: World) -> None:
    world.change(id="0" * 16, isActive=True).problem(404, "not_found")
    token = world.create()
    revoke(world, f"id={token['id']}")
    for change in ({"isActive": True}, {"isActive": False}, {"name": fresh("late")}):
        world.change(id=token["id"], **change).problem(409, "token_revoked")


def test_several_are_changed_by_their_ids_and_the_rest_skipped_with_its_reason(world: World) -> None:
    first, second, gone = (world.create() for _ in range(3))
    revoke(world, f"id={gone['id']}")
    missing = "0" * 16
    answer = world.change(ids=[first["id"], second["id"], gone["id"], missing, first["id"]], isActive=False)
    assert answer.status == 200
    body = answer.json()
    assert set(body) == {"message", "updated", "skipped"}
    assert sorted(body["updated"]) == sorted([first["id"], second["id"]])
    assert {one["id"]: one["code"] for one in body["skipped"]} == {
        gone["id"]: "token_revoked",
        missing: "not_found",
    }
    assert [world.validate(token["token"]).status for token in (first, second)] == [401, 401]


def test_a_filter_changes_exactly_as_many_as_were_expected_or_none(world: World) -> None:
    word = fresh("filtered")
    tokens = [world.create(name=f"{word} {number}") for number in range(3)]
    world.change(filter={"q": word}, expected=2, isActive=False).problem(409, "count_changed")
    assert [world.validate(token["token"]).status for token in tokens] == [200] * 3
    answer = world.change(filter={"q": word}, expected=3, isActive=False)
    assert sorted(answer.json()["updated"]) == sorted(token["id"] for token in tokens)
    assert [world.validate(token["token"]).status for token in tokens] == [401] * 3


def test_revoking_is_for_good_and_the_same_when_repeated(world: World) -> None:
    token = world.create()
    for _ in range(2):
        answer = revoke(world, f"id={token['id']}")
        assert (answer.status, answer.json()) == (200, {"message": "API token revoked successfully"})
        assert world.validate(token["token"]).status == 401
    assert names(world, q=token["name"], status="active") == []


def test_revoking_needs_an_id_that_was(world: World) -> None:
    world.ask("DELETE", TOKENS, bearer=world.admin).problem(400, "invalid_request")
    revoke(world, "id=").problem(400, "invalid_request")
    revoke(world, "id=" + "0" * 16).problem(404, "not_found")
    revoke(world, "id=rtk_" + "0" * 64).problem(404, "not_found")


def test_revoking_needs_tokens_that_are_named_in_one_way_and_nothing_else(world: World) -> None:
    first, second = world.create(), world.create()
    one, other = f"id={first['id']}", second["id"]
    for query in (
        f"{one}&id={other}",
        f"{one}&ids={other}",
        f"ids={other}&ids={first['id']}",
        f"{one}&dryRun=true",
        "ids=,",
    ):
        revoke(world, query).problem(400, "invalid_request")
    assert [world.validate(token["token"]).status for token in (first, second)] == [200, 200]


def test_several_are_revoked_by_their_ids(world: World) -> None:
    first, second = world.create(), world.create()
    answer = revoke(world, f"ids={first['id']},{second['id']},{'0' * 16}")
    body = answer.json()
    assert sorted(body["updated"]) == sorted([first["id"], second["id"]])
    assert body["skipped"] == [{"id": "0" * 16, "code": "not_found"}]
    assert [world.validate(token["token"]).status for token in (first, second)] == [401, 401]


def test_a_secret_is_shown_by_no_answer_after_the_first(world: World) -> None:
    token = world.create()
    secret = token["token"].encode()
    answers = [
        world.get(f"{TOKENS}/{token['id']}", bearer=world.admin),
        world.get(TOKENS, bearer=world.admin),
        world.change(id=token["id"], description="x"),
        world.validate(token["token"]),
        world.post("/validate/batch", {"tokens": [token["token"]]}, bearer=world.admin),
        world.post("/oauth2/introspect", form={"token": token["token"]}, bearer=world.admin),
        revoke(world, f"id={token['id']}"),
    ]
    for answer in answers:
        assert answer.status == 200
        assert secret not in answer.body
        assert secret.decode() not in str(answer.headers)
