"""The wire of /validate/batch: many tokens looked at in one question, none of them spent."""

from typing import Any

import pytest

from tests.api.world import TOKENS, World

PATH = "/validate/batch"
MEMBERS = {"active", "id", "kind", "subject", "scopes", "expiresAt", "code"}


def check(world: World, *secrets: str, **more: Any) -> list[dict[str, Any]]:
    answer = world.post(PATH, {"tokens": list(secrets), **more}, bearer=world.admin)
    assert answer.status == 200, answer
    assert answer.header("cache-control") == "no-store"
    body = answer.json()
    assert set(body) == {"results"}
    assert all(set(result) == MEMBERS for result in body["results"])
    results: list[dict[str, Any]] = body["results"]
    return results


def test_the_results_are_in_order_and_say_what_each_token_is(world: World) -> None:
    token, one_time = world.create(subject="svc:a", scopes=["a", "b"]), world.one_time(subject="order-7")
    managed, spent, session, nonsense = check(world, token["token"], one_time, world.user, "x")
    assert managed == {
        "active": True,
        "id": token["id"],
        "kind": "managed",
        "subject": "svc:a",
        "scopes": ["a", "b"],
        "expiresAt": token["expiresAt"],
        "code": "active",
    }
    assert (spent["active"], spent["kind"], spent["subject"]) == (True, "one_time", "order-7")
    assert (session["active"], session["kind"], session["subject"]) == (True, "session", "uma")
    assert nonsense == {**dict.fromkeys(MEMBERS), "active": False, "code": "malformed"}


def test_nothing_is_spent_by_checking(world: World) -> None:
    uses = world.create(maxUses=1, limits=[{"limit": 1, "periodSeconds": 86400}])
    one_time = world.one_time()
    for _ in range(3):
        assert [result["active"] for result in check(world, uses["token"], one_time)] == [True, True]
    assert world.shown(uses["id"])["usesLeft"] == 1
    assert world.validate(uses["token"]).status == 200
    assert world.get("/validate/one-time", bearer=one_time).status == 200


def test_each_reason_has_its_code(world: World) -> None:
    inactive, revoked, rated, used = (
        world.create(),
        world.create(),
        world.create(limits=[{"limit": 1, "periodSeconds": 86400}]),
        world.create(maxUses=1),
    )
    world.change(id=inactive["id"], isActive=False)
    world.ask("DELETE", f"{TOKENS}?id={revoked['id']}", bearer=world.admin)
    for token in (rated, used):
        assert world.validate(token["token"]).status == 200
    secrets = [token["token"] for token in (inactive, revoked, rated, used)]
    codes = [result["code"] for result in check(world, *secrets, "0" * 32, "A" * 64, "rtk_" + "0" * 64)]
    assert codes == ["inactive", "revoked", "rate_limited", "uses_exhausted", "unknown", "unknown", "malformed"]


def test_every_token_must_hold_the_required_scopes(world: World) -> None:
    wide, narrow = world.secret(scopes=["a", "b"]), world.secret(scopes=["a"])
    results = check(world, wide, narrow, requiredScopes=["a", "b"])
    assert [result["code"] for result in results] == ["active", "insufficient_scope"]
    assert [result["active"] for result in results] == [True, False]


def test_a_network_that_only_the_gateway_can_evaluate_is_not_evaluated_here(world: World) -> None:
    assert check(world, world.secret(allowedNetworks=["192.0.2.0/24"]))[0]["code"] == "active"


@pytest.mark.parametrize("count", [1, 100])
def test_up_to_100_tokens_are_checked(world: World, count: int) -> None:
    assert len(check(world, *["x"] * count)) == count


@pytest.mark.parametrize(
    "body",
    [
        {"tokens": []},
        {"tokens": ["x"] * 101},
        {},
        {"tokens": [1]},
        {"tokens": ["x"], "requiredScopes": ["A B"]},
        {"tokens": ["x"], "more": 1},
    ],
)
def test_a_question_that_cannot_be_understood_is_refused(world: World, body: object) -> None:
    world.post(PATH, body, bearer=world.admin).problem(400, "invalid_request")


def test_who_may_check(world: World) -> None:
    body = {"tokens": ["x"]}
    allowed = [
        {"bearer": world.admin},
        {"bearer": world.viewer},
        {"bearer": world.secret(scopes=["introspect"])},
        {"basic": ("admin", world.password)},
    ]
    for credential in allowed:
        assert world.post(PATH, body, **credential).status == 200
    refused = [
        {},
        {"bearer": world.user},
        {"bearer": world.secret(scopes=["revoke"])},
        {"bearer": "x"},
        {"basic": ("uma", world.password)},
        {"basic": ("nobody", "x")},
    ]
    for credential in refused:
        world.post(PATH, body, **credential).problem(401, "invalid_client")
