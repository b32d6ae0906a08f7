"""The audit log over HTTP: filters, cursors, exports that no spreadsheet runs, and its verification."""

import csv
import io
import json
from typing import Any

import pytest

from service.app import Service
from tests.asgi import Person, check_readers_alone, sign_in
from tests.builders import ADMIN
from tests.conftest import MakeService

AUDIT = "/api/admin/audit"
MEMBERS = ["id", "at", "action", "actor", "target", "address", "channel", "requestId", "before", "after"]


async def test_an_entry_has_exactly_the_members_of_the_contract(admin: Person) -> None:
    token = await admin.create("gate", limits=[{"limit": 5, "periodSeconds": 60}], allowedNetworks=["10.0.0.0/8"])
    change = {"id": token["id"], "expiresAt": "2027-01-31T12:00:00Z"}
    await admin.ask("PATCH", "/api/admin/tokens", json_body=change, headers={"X-Requested-With": "tokens-cli"})
    page = (await admin.get(AUDIT, target=token["id"])).json()
    assert list(page) == ["entries", "nextCursor"]
    updated, created = page["entries"]
    assert list(created) == MEMBERS
    assert (created["action"], created["actor"], created["target"]) == ("token.created", "admin", token["id"])
    assert (created["address"], created["channel"]) == ("192.0.2.7", "api")
    assert created["requestId"]
    assert created["at"].endswith("Z")
    assert created["before"] is None
    assert created["after"]["limits"] == [{"limit": 5, "periodSeconds": 60, "burst": 5, "name": "default"}]
    assert created["after"]["allowedNetworks"] == ["10.0.0.0/8"]
    assert created["after"]["isActive"] is True
    assert created["after"]["expiresAt"] == token["expiresAt"]
    assert updated["channel"] == "cli"
    assert updated["before"] == {"expiresAt": token["expiresAt"]}
    assert updated["after"] == {"expiresAt": "2027-01-31T12:00:00Z"}
    assert token["token"] not in json.dumps(page)


async def test_the_cursor_leads_through_all_entries(admin: Person) -> None:
    names = [(await admin.create(f"gate {number}"))["id"] for number in range(9)]
    entries: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await admin.get(AUDIT, action="token.created", limit=4, cursor=cursor)).json()
        entries += page["entries"]
        cursor = page["nextCursor"]
    assert sorted(entry["target"] for entry in entries) == sorted(names)
    # Newest first; of one millisecond, that of the higher shard.
    milliseconds = [int(entry["id"].partition("-")[0]) for entry in entries]
    assert milliseconds == sorted(milliseconds, reverse=True)


async def test_filters_by_time_and_text(admin: Person) -> None:
    token = await admin.create("Grüße an alle")
    found = (await admin.get(AUDIT, q="grÜSSE", **{"from": "2026-01-01T00:00:00Z"})).json()["entries"]
    assert [entry["target"] for entry in found] == [token["id"]]
    assert (await admin.get(AUDIT, to="2026-01-01T00:00:00Z")).json() == {"entries": [], "nextCursor": None}


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 201},
        {"cursor": "x"},
        {"cursor": "1-2"},
        {"cursor": "0-0.0"},
        {"from": "yesterday"},
        {"to": ""},
        {"to": "2026-01-01"},
        {"format": "xml"},
        {"who": "admin"},
        {"action": "token.revokd"},
        {"action": ""},
        {"q": "x" * 201},
    ],
)
async def test_a_wrong_filter_is_refused_by_name(service: Service, query: dict[str, Any]) -> None:
    answer = await (await sign_in(service)).get(AUDIT, **query)
    assert answer.status == 400
    (error,) = answer.json()["errors"]
    assert error["field"] in query
    if "action" in query:
        assert "token.revoked" in error["message"]


@pytest.mark.parametrize("path", [AUDIT, f"{AUDIT}/verification"])
async def test_the_audit_log_is_for_readers(service: Service, path: str) -> None:
    await check_readers_alone(service, path)


async def test_an_export_streams_all_that_match_and_is_noted(service: Service, admin: Person) -> None:
    for number in range(250):
        await service.rules.audit.log.write("login.failed", ADMIN, f"user {number}")
    answer = await admin.get(AUDIT, format="ndjson", action="login.failed")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    assert "audit.ndjson" in answer.headers["content-disposition"]
    lines = answer.lines()
    assert sorted(entry["target"] for entry in lines) == sorted(f"user {number}" for number in range(250))
    assert [entry["at"] for entry in lines] == sorted([entry["at"] for entry in lines], reverse=True)
    assert list(lines[0]) == MEMBERS
    noted = (await admin.get(AUDIT, action="export.made")).json()["entries"]
    assert [(entry["actor"], entry["target"]) for entry in noted] == [("admin", "audit")]
    assert noted[0]["after"] == {"format": "ndjson", "action": "login.failed"}


async def test_csv_has_a_header_and_no_cell_that_a_spreadsheet_would_run(service: Service, admin: Person) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", 'quo"te, comma', "plain"]
    for name in names:
        await service.rules.audit.log.write("login.failed", ADMIN, name, after={"name": name})
    answer = await admin.get(AUDIT, format="csv", action="login.failed")
    assert answer.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
    assert header == MEMBERS
    after = {row[4]: json.loads(row[9]) for row in rows}
    assert set(after) == {"plain", 'quo"te, comma', "'\tx", "'\rx", "'@SUM(A1)", "'-1", "'+1", "'=1+1"}
    assert after['quo"te, comma'] == {"name": 'quo"te, comma'}
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


async def test_the_verification_tells_what_was_done_to_the_audit_log(still: Service) -> None:
    admin = await sign_in(still)
    await admin.create("gate")
    await still.rules.audit.checkpoints.seal()
    path = f"{AUDIT}/verification"
    assert (await admin.get(path)).json() == {
        "intact": True,
        "entries": 2,
        "unsealed": 0,
        "faults": [],
        "completeSince": {"changes": None, "occurrences": None, "refusals": None},
    }
    event = (await admin.get(AUDIT, action="token.created")).json()["entries"][0]["id"]
    entry_id, _, shard_number = event.partition(".")
    shard = still.stores.shards[int(shard_number)]
    await shard.link.execute("XDEL", shard.keys.changes, entry_id)
    report = (await admin.get(path)).json()
    assert report["intact"] is False
    assert report["faults"] == [{"id": event, "fault": "missing"}]


async def test_no_export_without_its_entry(make_service: MakeService) -> None:
    service = await make_service(background=False)
    admin = await sign_in(service)
    shard = service.stores.shards.of_name("audit")
    await shard.link.execute("DEL", shard.keys.occurrences)
    await shard.link.execute("SET", shard.keys.occurrences, "of a wrong type")
    assert (await admin.get(AUDIT, format="csv")).status == 503
