"""The wire of derived tokens, each answer held against the document."""

from typing import Any

import pytest

from tests.api.world import TOKENS, World

SELF = "/api/tokens/self"


def test_a_derived_token_from_its_making_to_its_end(world: World) -> None:
    root = world.create(scopes=["self:derive", "orders:*"], subject="ci")
    wanted = {
        "ttlSeconds": 900,
        "scopes": ["orders:read"],
        "allowedNetworks": ["127.0.0.0/8"],
        "limits": [{"limit": 5, "periodSeconds": 60}],
        "maxUses": 3,
    }
    answer = world.post(f"{SELF}/derive", json_body=wanted, bearer=root["token"])
    assert answer.status == 201, answer
    child = answer.json()["token"]
    assert {name: child[name] for name in ("scopes", "subject", "maxUses", "usesLeft", "parentId", "derived")} == {
        "scopes": ["orders:read"],
        "subject": "ci",
        "maxUses": 3,
        "usesLeft": 3,
        "parentId": root["id"],
        "derived": 0,
    }
    allowed = world.validate(child["token"])
    assert (allowed.status, allowed.header("x-token-id"), allowed.header("x-token-subject")) == (200, child["id"], "ci")
    listed = world.get(f"{TOKENS}?parent={root['id']}", bearer=world.viewer).json()
    assert [(one["id"], one["usesLeft"], one["token"][-4:]) for one in listed["tokens"]] == [(child["id"], 2, "****")]
    assert world.shown(root["id"])["derived"] == 1
    by_holder = world.get(f"{SELF}/derived", bearer=root["token"]).json()
    for one in (*by_holder["tokens"], *listed["tokens"]):
        # A second may have passed between the two.
        assert one["limits"][0].pop("resetSeconds") > 0
    assert by_holder["tokens"] == listed["tokens"]
    unknown = world.get(f"{TOKENS}/{child['id']}", bearer=world.admin).problem(404, "not_found")
    assert "or it is derived: the audit log says" in unknown["detail"]
    path = f"{TOKENS}/{root['id']}/derived"
    assert world.ask("DELETE", f"{path}?id={child['id']}", bearer=world.viewer).status == 403
    assert world.ask("DELETE", f"{path}?id={child['id']}", bearer=world.admin).status == 200
    assert world.validate(child["token"]).status == 401
    assert world.ask("DELETE", f"{SELF}/derived", bearer=root["token"]).json()["message"] == "0 derived tokens ended"


@pytest.mark.parametrize("body", [{"ttlSeconds": 0}, {"scopes": ["A b"]}, {"name": "x"}, {"allowedNetworks": ["x"]}])
def test_what_cannot_be_meant_is_refused(world: World, body: dict[str, Any]) -> None:
    root = world.create(scopes=["self:derive"])
    assert world.post(f"{SELF}/derive", json_body=body, bearer=root["token"]).status == 400
    assert world.ask("DELETE", f"{SELF}/derived?id=x", bearer=root["token"]).status == 400
    assert world.get(f"{TOKENS}?parent=x", bearer=world.viewer).status == 400
