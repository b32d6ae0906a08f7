"""The wire of the limits that all tokens of a subject share, each answer held against the document."""

from typing import Any

import pytest

from tests.api.world import World, fresh
from tests.builders import month_day

PATH = "/api/admin/subject-limits"


def test_the_limits_of_a_subject_from_their_setting_to_their_end(world: World) -> None:
    subject = fresh("svc:a/b%").replace(" ", "-")
    calendar = {"unit": "month", "day": month_day(), "timeZone": "UTC"}
    wanted = {"subject": subject, "limits": [{"name": "month", "limit": 3, "calendar": calendar}]}
    first, second = world.create(subject=subject), world.create(subject=subject, limits=[LIMIT])
    assert world.validate(first["token"]).header("ratelimit-policy") is None
    answer = world.ask("PUT", PATH, json_body=wanted, bearer=world.admin)
    (shown,) = answer.json()["limits"]
    assert (answer.status, shown["used"], shown["remaining"]) == (200, 0, 3)

    got = [world.validate(token["token"]) for token in (first, second, first, second)]
    assert [one.status for one in got] == [200, 200, 200, 429]
    assert got[0].header("ratelimit-policy") == '"subject:month";q=3'
    assert got[1].header("ratelimit-policy") == '"default";q=9;w=86400, "subject:month";q=3'
    for one in got:
        assert "x-token-id" in dict(one.headers) or one.status == 429
    assert (got[3].header("ratelimit") or "").startswith('"default";r=8;t=')
    assert '"subject:month";r=0;t=' in (got[3].header("ratelimit") or "")
    explained = world.post("/api/admin/tokens/explain", {"token": first["token"]}, bearer=world.admin).json()
    assert explained["outcome"] == "rate_limited"
    for own in (world.get("/api/tokens/self", bearer=first["token"]).json(), world.shown(second["id"])):
        assert [one["remaining"] for one in own["subjectLimits"]] == [0]
    (listed,) = world.get(f"{PATH}?subject={subject.replace('%', '%25')}", bearer=world.admin).json()["subjects"]
    assert (listed["subject"], listed["limits"][0]["used"]) == (subject, 3)

    query = f"{PATH}?subject={subject.replace('%', '%25')}"
    assert world.ask("DELETE", query, bearer=world.admin).status == 200
    assert world.validate(first["token"]).header("ratelimit") is None
    world.ask("DELETE", query, bearer=world.admin).problem(404, "not_found")
    world.get(query, bearer=world.admin).problem(404, "not_found")
    entries = world.get(f"/api/admin/audit?target={subject.replace('%', '%25')}", bearer=world.admin).json()["entries"]
    assert [one["action"] for one in entries] == ["subject.unlimited", "subject.limited"]
    assert entries[0]["before"]["limits"] == entries[1]["after"]["limits"] == wanted["limits"]


LIMIT = {"limit": 9, "periodSeconds": 86400}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limits": [LIMIT]}, "subject"),
        ({"subject": "", "limits": [LIMIT]}, "subject"),
        ({"subject": "two words", "limits": [LIMIT]}, "subject"),
        ({"subject": "a", "limits": []}, "limits"),
        ({"subject": "a", "limits": [LIMIT] * 5}, "limits"),
    ],
)
def test_wrong_limits_are_named(world: World, body: dict[str, Any], field: str) -> None:
    problem = world.ask("PUT", PATH, json_body=body, bearer=world.admin).problem(400, "invalid_request")
    assert problem["errors"][0]["field"].startswith(field)
