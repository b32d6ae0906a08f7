"""One token's screen, the audit and the help, by pointer."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from playwright.sync_api import Page, expect

from service.tokens.audit.entries import Action
from tests.api.running import wait_until
from tests.dashboard.conftest import Open
from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import clipboard, toast

ROOT = Path(__file__).parents[2]
AUDIT = re.compile(r"/api/admin/audit\?")


def test_use_is_shown_as_numbers_bars_and_a_table(window: Page, service: Service) -> None:
    token = service.create("much used")
    for _ in range(3):
        service.validate(str(token["token"]), **{"User-Agent": "a gateway/1.0"})
    assert service.validate(str(token["token"]) + "?") == 401
    usage = f"{TOKENS}/{token['id']}/usage"
    wait_until(lambda: service.ask("GET", usage)["days"][-1]["allowed"] == 3, what="three checks to be counted")

    window.goto(f"/dashboard/tokens/{token['id']}")

    expect(
        window.get_by_role("img", name=re.compile(r"Checks per day for the last 30 days\. 3 allowed, 0 denied\."))
    ).to_be_visible()
    window.get_by_text("Show as table").click()
    expect(window.get_by_role("region", name="Checks per day").get_by_role("row").nth(1)).to_contain_text("30")
    expect(window.get_by_text("last address, a gateway/1.0")).to_be_visible()


def test_a_token_never_used_says_how_to_begin(window: Page, service: Service) -> None:
    token = service.create("never used at all")
    window.goto(f"/dashboard/tokens/{token['id']}")

    expect(window.get_by_text("Never used. Paste the snippet from Help to make the first call.")).to_be_visible()
    window.get_by_role("button", name="Copy ID").click()
    expect(toast(window)).to_have_text("Copied.")
    assert clipboard(window) == token["id"]


def test_an_unknown_id_says_so(open_page: Open, service: Service) -> None:
    page = open_page(service, "tokens/00ffffffffffffff")

    expect(page.get_by_role("heading", name="No token with this ID.")).to_be_visible()


def test_only_what_was_edited_is_sent(window: Page, service: Service) -> None:
    token = service.create("edited", description="before", subject="svc:a", metadata={"team": "a"})
    window.goto(f"/dashboard/tokens/{token['id']}")
    window.get_by_role("button", name="Edit").click()
    window.get_by_label("Description").fill("after")
    window.get_by_label("Subject").fill("")
    end = datetime.now(UTC) + timedelta(days=60)
    window.get_by_label("Expires, UTC").fill(end.strftime("%Y-%m-%dT%H:%M"))

    with window.expect_request(lambda request: request.method == "PATCH") as sent:
        window.get_by_role("button", name="Save").click()

    assert sent.value.post_data_json == {
        "id": token["id"],
        "version": token["version"],
        "description": "after",
        "expiresAt": end.strftime("%Y-%m-%dT%H:%M:00Z"),
        "subject": "",
    }
    expect(window.get_by_role("definition").filter(has_text="after")).to_be_visible()
    expect(window.get_by_role("definition").filter(has_text="nobody")).to_be_visible()


def test_metadata_of_any_signs_can_be_edited(window: Page, service: Service) -> None:
    metadata = {"owners": "ada, bob", "a=b,c": "x=1, y=2", "path": "C:\\new\\,"}
    token = service.create("any signs", metadata=metadata)
    window.goto(f"/dashboard/tokens/{token['id']}")
    window.get_by_role("button", name="Edit").click()
    window.get_by_text("Limits and metadata").click()
    field = window.get_by_label("Metadata")
    field.fill(f"{field.input_value()}, dir=D:\\top")
    with window.expect_request(lambda request: request.method == "PATCH") as sent:
        window.get_by_role("button", name="Save").click()

    assert sent.value.post_data_json == {
        "id": token["id"],
        "version": token["version"],
        "metadata": {**metadata, "dir": "D:\\top"},
    }


def test_revoking_a_token_in_use_says_when_it_was_used(window: Page, service: Service) -> None:
    token = service.create("in use")
    service.validate(str(token["token"]))
    wait_until(lambda: service.show(str(token["id"]))["lastUsedAt"], what="the use to be counted")
    window.goto(f"/dashboard/tokens/{token['id']}")
    window.get_by_role("button", name="Revoke…").click()

    expect(window.get_by_role("alertdialog")).to_contain_text(re.compile(r"It was used .+\."))
    window.get_by_role("button", name="Deactivate instead").click()
    expect(toast(window)).to_contain_text("in use deactivated.")
    assert service.show(str(token["id"]))["status"] == "inactive"


def test_the_audit_is_filtered_expanded_and_exported(open_page: Open, service: Service) -> None:
    page = open_page(service)
    entry = {
        "id": "1",
        "at": "2026-11-20T22:31:07Z",
        "action": "token.updated",
        "actor": "maria",
        "target": "00aabbccddeeff00",
        "address": "10.4.1.7",
        "channel": "dashboard",
        "requestId": "a8c1",
        "before": {"name": "checkout-api", "expiresAt": "2026-11-30T00:00:00Z"},
        "after": {"name": "checkout-api", "expiresAt": "2027-02-12T00:00:00Z", "scopes": ["a:b", "c"], "maxUses": 5},
    }
    page.route(AUDIT, lambda route: route.fulfill(json={"entries": [entry], "nextCursor": None}))
    page.get_by_role("link", name="Audit").click()
    page.get_by_role("button", name="Updated").click()

    expect(page.get_by_role("cell", name="20 Nov 2026, 22:31:07")).to_be_visible()
    expect(page.get_by_role("definition")).to_have_text(["30 Nov 2026 → 12 Feb 2027", "none → a:b, c", "none → 5"])
    expect(page.get_by_role("link", name="checkout-api")).to_have_attribute(
        "href", f"{service.url}/dashboard/tokens/00aabbccddeeff00"
    )
    offered = page.get_by_label("Action").locator("option").evaluate_all("all => all.map(({ value }) => value)")
    assert set(offered) == {"", *get_args(Action)}
    page.get_by_label("Action").select_option("Updated")
    page.get_by_label("Actor").select_option("maria")
    with page.expect_request(lambda request: request.url.endswith("?action=token.updated&actor=maria&limit=50")):
        page.get_by_label("Period").select_option("All time")
    expect(page).to_have_url(f"{service.url}/dashboard/audit?action=token.updated&actor=maria&period=all")
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as exported:
        page.get_by_role("menuitem", name="CSV").click()
    assert exported.value.url.endswith("?action=token.updated&actor=maria&format=csv")


def test_what_is_done_on_the_page_is_in_the_audit_and_in_the_export(window: Page, service: Service) -> None:
    token = service.create("written down")
    window.goto(f"/dashboard/tokens/{token['id']}")
    window.get_by_role("button", name="Deactivate").click()
    expect(window.get_by_role("listitem").filter(has_text="Deactivated by admin")).to_contain_text(
        "dashboard · 127.0.0.1"
    )
    window.get_by_role("link", name="Open in audit").click()

    expect(window.locator("tbody button")).to_have_text(["Deactivated", "Created"])
    window.get_by_role("button", name="Export", exact=True).click()
    with window.expect_download() as exported:
        window.get_by_role("menuitem", name="NDJSON").click()
    lines = Path(exported.value.path()).read_text().splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["token.deactivated", "token.created"]


def test_the_audit_names_tokens_also_where_the_entry_does_not(open_page: Open, service: Service) -> None:
    token = service.create("well known")
    for active in (False, True):
        service.ask("PATCH", TOKENS, {"id": token["id"], "isActive": active})
    service.ask("PATCH", TOKENS, {"id": token["id"], "description": "of which the audit tells"})
    entries = service.ask("GET", f"/api/admin/audit?target={token['id']}")["entries"]
    gone = {**entries[1], "id": "1", "target": "0" * 16}
    page = open_page(service)
    page.route(AUDIT, lambda route: route.fulfill(json={"entries": [*entries, gone], "nextCursor": None}))
    page.get_by_role("link", name="Audit").click()

    expect(page.locator("tbody button")).to_have_text(["Updated", "Activated", "Deactivated", "Created", "Activated"])
    expect(page.locator("tbody a")).to_have_text(["well known"] * 4 + ["0" * 16])


def test_an_empty_audit_says_so(open_page: Open, service: Service) -> None:
    page = open_page(service)
    page.route(AUDIT, lambda route: route.fulfill(json={"entries": [], "nextCursor": None}))
    page.get_by_role("link", name="Audit").click()

    expect(page.get_by_role("heading", name="Nothing happened in this period.")).to_be_visible()


@pytest.mark.parametrize(("status", "word"), [(200, "ready"), (503, "not_ready")])
def test_the_help_says_what_has_failed(window: Page, status: int, word: str) -> None:
    failed = {"name": "eviction", "status": "failed", "detail": "allkeys-lru deletes tokens"}
    told = {"status": word, "version": "1", "checks": [{"name": "redis", "status": "ok"}, failed]}
    window.route("**/readyz", lambda route: route.fulfill(status=status, json=told))
    window.goto("/dashboard/help")

    expect(window.get_by_role("definition").filter(has_text="allkeys-lru")).to_have_text("allkeys-lru deletes tokens")


def test_the_help_tells_of_this_server_and_keeps_the_theme(open_page: Open, service: Service) -> None:
    page = open_page(service, "help", color_scheme="light")
    expect(page.get_by_text(re.compile(r"Ready, answered in \d+ ms"))).to_be_visible()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.get_by_label("Dark", exact=True).check()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    expect(page.get_by_label("Dark", exact=True)).to_be_checked()

    assert dark != light
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.get_by_role("button", name="Use light theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light
