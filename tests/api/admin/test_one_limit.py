"""`rateLimit` and `quota`, for a token that has no need of several limits of a kind: each holds one of them alone."""

from typing import Any

import pytest

from tests.api.world import TOKENS, World
from tests.builders import month_day

RATE = {"limit": 2, "periodSeconds": 3600}
WHOLE = {**RATE, "burst": 2}
# Of a month that does not end while this runs.
CALENDAR = {"unit": "month", "day": month_day()}
QUOTA = {"limit": 2, "calendar": CALENDAR}
DAY = {"name": "day", "limit": 1000, "periodSeconds": 86400}
SHOWN = {"used": 0, "remaining": 2, "calendar": {**CALENDAR, "timeZone": "UTC"}}
# The member, what is given for it, what is shown of that, and what the limit is called.
ALONE = [
    pytest.param("rateLimit", RATE, WHOLE, "default", id="rate"),
    pytest.param("quota", QUOTA, {"name": "quota", "limit": 2, **SHOWN}, "quota", id="quota"),
]


def names(token: dict[str, Any]) -> list[str]:
    return [limit["name"] for limit in token["limits"]]


def held(token: dict[str, Any], member: str) -> dict[str, Any] | None:
    """What it shows for the member, without the seconds that go by."""
    if token[member] is None:
        return None
    return {name: value for name, value in token[member].items() if name != "resetSeconds"}


@pytest.mark.parametrize(("member", "given", "shown", "called"), ALONE)
def test_it_is_kept_shown_and_held(
    world: World, member: str, given: dict[str, Any], shown: dict[str, Any], called: str
) -> None:
    token = world.create(**{member: given})
    assert held(token, member) == held(world.shown(token["id"]), member) == shown
    assert names(token) == [called]
    asked = [world.validate(token["token"]) for _ in range(3)]
    assert [answer.status for answer in asked] == [200, 200, 429]
    assert (asked[0].header("ratelimit-policy") or "").startswith(f'"{called}";q=2')


def test_a_burst_is_kept(world: World) -> None:
    assert world.create(rateLimit={**RATE, "burst": 1})["rateLimit"] == {**RATE, "burst": 1}


def test_a_quota_tells_how_it_stands_as_the_list_does(world: World) -> None:
    token = world.create(quota={"limit": 9, "calendar": CALENDAR}, rateLimit=RATE)
    world.validate(token["token"])
    shown = world.shown(token["id"])
    assert names(shown) == ["default", "quota"]
    assert shown["quota"] == shown["limits"][1]
    assert shown["quota"]["remaining"] == 8


def test_a_token_without_one_says_null(world: World) -> None:
    for token in (world.create(), world.create(limits=[DAY]), world.create(rateLimit=None, quota=None)):
        assert token["rateLimit"] is token["quota"] is None
    assert names(token) == []


def test_a_limit_of_the_name_and_of_the_other_kind_is_not_the_one(world: World) -> None:
    others = [{"limit": 5, "calendar": {"unit": "day"}}, {"name": "quota", "limit": 5, "periodSeconds": 60}]
    token = world.create(limits=others)
    assert token["rateLimit"] is token["quota"] is None
    # What is read and written back takes nothing away.
    changed = world.change(id=token["id"], rateLimit=token["rateLimit"], quota=token["quota"]).json()["token"]
    assert names(changed) == ["default", "quota"]
    # And what is new takes not the place of another kind, which is called so where it was given no name.
    for member, given in (("rateLimit", RATE), ("quota", QUOTA)):
        refused = world.change(id=token["id"], **{member: given})
        assert (refused.status, refused.json()["errors"][0]["field"]) == (400, member)
    assert [limit["limit"] for limit in world.shown(token["id"])["limits"]] == [5, 5]


@pytest.mark.parametrize(("member", "given", "shown", "called"), ALONE)
def test_it_is_changed_and_taken_away_and_the_limits_beside_it_stay(
    world: World, member: str, given: dict[str, Any], shown: dict[str, Any], called: str
) -> None:
    token = world.create(limits=[DAY])
    for wanted, told, beside in ((given, shown, ["day", called]), (None, None, ["day"])):
        changed = world.change(id=token["id"], **{member: wanted}).json()["token"]
        assert held(changed, member) == told
        assert names(changed) == beside


def test_both_are_changed_at_once(world: World) -> None:
    token = world.create(rateLimit=RATE, quota=QUOTA)
    more = {**QUOTA, "limit": 9}
    changed = world.change(id=token["id"], rateLimit=None, quota=more).json()["token"]
    assert (names(changed), changed["quota"]["limit"]) == (["quota"], 9)


def test_what_is_read_and_written_back_changes_nothing(world: World) -> None:
    token = world.create()
    for limits in ([DAY, {"limit": 7, "periodSeconds": 60}], [{"limit": 7, "periodSeconds": 60}, DAY]):
        world.change(id=token["id"], limits=limits)
        before = world.shown(token["id"])
        world.change(id=token["id"], rateLimit=before["rateLimit"])
        assert world.shown(token["id"]) == before


@pytest.mark.parametrize(("member", "given"), [("rateLimit", RATE), ("quota", QUOTA)])
def test_a_fifth_limit_is_refused_and_nothing_changed(world: World, member: str, given: dict[str, Any]) -> None:
    four = [{**DAY, "name": f"n{number}"} for number in range(4)]
    token = world.create(limits=four)
    refused = world.change(id=token["id"], **{member: given})
    assert (refused.status, refused.json()["errors"][0]["field"]) == (400, member)
    assert names(world.shown(token["id"])) == ["n0", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"rateLimit": RATE, "limits": [DAY]}, "rateLimit"),
        ({"quota": QUOTA, "limits": [DAY]}, "quota"),
        ({"rateLimit": {"limit": 0, "periodSeconds": 60}}, "rateLimit.limit"),
        ({"rateLimit": {"limit": 1}}, "rateLimit.periodSeconds"),
        ({"rateLimit": {"limit": 1, "periodSeconds": 60, "name": "x"}}, "rateLimit.name"),
        ({"rateLimit": 5}, "rateLimit"),
        ({"quota": 5}, "quota"),
        ({"quota": {"limit": 5}}, "quota.calendar"),
        ({"quota": {"limit": 5, "periodSeconds": 60}}, "quota.periodSeconds"),
        ({"quota": {"limit": 5, "calendar": {"unit": "day", "day": 2}}}, "quota.calendar.day"),
        ({"quota": {"limit": 5, "calendar": {"unit": "day", "timeZone": "Mars/Olympus"}}}, "quota.calendar.timeZone"),
    ],
)
def test_what_is_none_is_refused_by_its_place(world: World, terms: dict[str, Any], field: str) -> None:
    token = world.create()
    created = world.post(TOKENS, {"name": "refused", "duration": "7days", **terms}, bearer=world.admin)
    for refused in (created, world.change(id=token["id"], **terms)):
        assert (refused.status, refused.json()["errors"][0]["field"]) == (400, field), refused
    assert world.shown(token["id"])["limits"] == []


@pytest.mark.parametrize("member", ["rateLimit", "quota"])
def test_none_and_a_list_together_leave_open_what_is_meant(world: World, member: str) -> None:
    token = world.create(limits=[DAY])
    assert world.change(id=token["id"], **{member: None}, limits=[DAY]).status == 400
    assert names(world.shown(token["id"])) == ["day"]


@pytest.mark.parametrize(("member", "given", "shown", "called"), ALONE)
def test_a_derived_token_has_one_of_its_own(
    world: World, member: str, given: dict[str, Any], shown: dict[str, Any], called: str
) -> None:
    secret = world.secret(scopes=["self:derive"])
    derived = world.post("/api/tokens/self/derive", {member: given}, bearer=secret).json()["token"]
    assert (held(derived, member), names(derived)) == (shown, [called])
    asked = [world.validate(derived["token"]).status for _ in range(3)]
    assert asked == [200, 200, 429]
    both = world.post("/api/tokens/self/derive", {member: given, "limits": [DAY]}, bearer=secret)
    assert both.status == 400


def test_null_leaves_a_derived_token_the_limits_of_its_parent(world: World) -> None:
    secret = world.secret(scopes=["self:derive"], rateLimit=RATE, quota=QUOTA)
    derived = world.post("/api/tokens/self/derive", {"rateLimit": None, "quota": None}, bearer=secret)
    assert (derived.status, names(derived.json()["token"])) == (201, ["default", "quota"])
