"""`rateLimit`, the one rate of a token that has no need of several: the limit called `default`, alone in its place."""

from typing import Any

import pytest

from tests.api.world import TOKENS, World

RATE = {"limit": 2, "periodSeconds": 3600}
WHOLE = {**RATE, "burst": 2}
DAY = {"name": "day", "limit": 1000, "periodSeconds": 86400}


def names(token: dict[str, Any]) -> list[str]:
    return [limit["name"] for limit in token["rateLimits"]]


def test_a_rate_is_kept_shown_and_held(world: World) -> None:
    token = world.create(rateLimit=RATE)
    assert token["rateLimit"] == world.shown(token["id"])["rateLimit"] == WHOLE
    assert names(token) == ["default"]
    asked = [world.validate(token["token"]) for _ in range(3)]
    assert [answer.status for answer in asked] == [200, 200, 429]
    assert asked[0].header("ratelimit-policy") == '"default";q=2;w=3600'


def test_a_burst_is_kept(world: World) -> None:
    assert world.create(rateLimit={**RATE, "burst": 1})["rateLimit"] == {**RATE, "burst": 1}


def test_a_token_without_a_rate_says_null(world: World) -> None:
    assert world.create()["rateLimit"] is None
    assert world.create(rateLimit=None)["rateLimits"] == []
    assert world.create(rateLimits=[DAY])["rateLimit"] is None
    assert world.create(rateLimits=[{"limit": 5, "calendar": {"unit": "day"}}])["rateLimit"] is None


def test_a_rate_is_changed_and_taken_away_and_the_limits_beside_it_stay(world: World) -> None:
    token = world.create(rateLimits=[DAY])
    for wanted, shown, beside in ((RATE, WHOLE, ["day", "default"]), (None, None, ["day"])):
        changed = world.change(id=token["id"], rateLimit=wanted).json()["token"]
        assert changed["rateLimit"] == shown
        assert names(changed) == beside


def test_what_is_read_and_written_back_changes_nothing(world: World) -> None:
    token = world.create()
    for limits in ([DAY, {"limit": 7, "periodSeconds": 60}], [{"limit": 7, "periodSeconds": 60}, DAY]):
        world.change(id=token["id"], rateLimits=limits)
        before = world.shown(token["id"])
        world.change(id=token["id"], rateLimit=before["rateLimit"])
        assert world.shown(token["id"]) == before


def test_a_fifth_limit_is_refused_and_nothing_changed(world: World) -> None:
    four = [{**DAY, "name": f"n{number}"} for number in range(4)]
    token = world.create(rateLimits=four)
    refused = world.change(id=token["id"], rateLimit=RATE)
    assert (refused.status, refused.json()["errors"][0]["field"]) == (400, "rateLimit")
    assert names(world.shown(token["id"])) == ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"rateLimit": RATE, "rateLimits": [DAY]}, "rateLimit"),
        ({"rateLimit": {"limit": 0, "periodSeconds": 60}}, "rateLimit.limit"),
        ({"rateLimit": {"limit": 1}}, "rateLimit.periodSeconds"),
        ({"rateLimit": {"limit": 1, "periodSeconds": 60, "name": "x"}}, "rateLimit.name"),
        ({"rateLimit": 5}, "rateLimit"),
    ],
)
def test_what_is_no_rate_is_refused_by_its_place(world: World, terms: dict[str, Any], field: str) -> None:
    token = world.create()
    created = world.post(TOKENS, {"name": "refused", "duration": "7days", **terms}, bearer=world.admin)
    for refused in (created, world.change(id=token["id"], **terms)):
        assert (refused.status, refused.json()["errors"][0]["field"]) == (400, field), refused
    assert world.shown(token["id"])["rateLimits"] == []


def test_no_rate_and_a_list_together_leave_open_what_is_meant(world: World) -> None:
    token = world.create(rateLimits=[DAY])
    assert world.change(id=token["id"], rateLimit=None, rateLimits=[DAY]).status == 400
    assert names(world.shown(token["id"])) == ["day"]


def test_a_derived_token_has_a_rate_of_its_own(world: World) -> None:
    secret = world.secret(scopes=["self:derive"])
    derived = world.post("/api/tokens/self/derive", {"rateLimit": RATE}, bearer=secret).json()["token"]
    assert derived["rateLimit"] == WHOLE
    asked = [world.validate(derived["token"]).status for _ in range(3)]
    assert asked == [200, 200, 429]
    both = world.post("/api/tokens/self/derive", {"rateLimit": RATE, "rateLimits": [DAY]}, bearer=secret)
    assert both.status == 400
