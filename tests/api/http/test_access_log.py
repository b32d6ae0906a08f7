"""The access log: which token a request was about."""

import logging

import pytest

from tests.asgi import Person, sign_in
from tests.conftest import MakeService

TOKENS = "/api/admin/tokens"


async def test_the_log_names_the_token_that_was_changed_and_not_the_one_that_asked(
    make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    service = await make_service(background=False)
    admin = await sign_in(service)
    caplog.set_level(logging.INFO, "service.requests")
    made = await admin.create("named", scopes=["self:derive"])
    token_id, overlap = made["id"], {"overlapSeconds": 60}
    changed = await admin.ask("PATCH", TOKENS, json_body={"id": token_id, "description": "d"})
    rotated = await admin.post(f"{TOKENS}/{token_id}/rotate", overlap)
    ended = await admin.ask("DELETE", f"{TOKENS}/{token_id}/rotate")
    itself = Person(service, rotated.json()["token"]["token"])
    shown = await itself.get("/api/tokens/self")
    derived = await itself.post("/api/tokens/self/derive", {})
    revoked = await admin.ask("DELETE", TOKENS, query={"id": token_id})
    assert [one.status for one in (changed, rotated, ended, shown, derived, revoked)] == [200, 201, 200, 200, 201, 200]
    told = [record.facts["token_id"] for record in caplog.records if record.name == "service.requests"]  # type: ignore[attr-defined]
    below = derived.json()["token"]["id"]
    assert told == [token_id] * 5 + [below, token_id]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics", "/validate"])
async def test_what_is_asked_all_the_time_leaves_no_line_unless_it_fails(
    make_service: MakeService, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    service = await make_service(background=False)
    caplog.set_level(logging.INFO, "service.requests")
    asked = Person(service, (await (await sign_in(service)).create("t"))["token"])
    caplog.clear()
    answer = await asked.get(path)
    told = [record.facts["status"] for record in caplog.records if record.name == "service.requests"]  # type: ignore[attr-defined]
    assert (answer.status, told) in ((200, []), (503, [503]))
