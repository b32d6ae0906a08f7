"""A page that shows what was so a while ago: changed elsewhere, in another tab or from the command line."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, Route, expect

from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import choose, find, row


def test_a_change_of_what_was_revoked_elsewhere_says_so_and_shows_it(window: Page, service: Service) -> None:
    token = service.create("ended elsewhere")
    find(window, "ended elsewhere")
    service.ask("DELETE", f"{TOKENS}?id={token['id']}")
    choose(window, "ended elsewhere", "Deactivate")

    expect(window.get_by_role("alert")).to_have_text("A revoked token cannot be changed.")
    expect(row(window, "ended elsewhere")).to_have_count(0)


def test_a_change_of_what_is_there_no_more_says_so(window: Page, service: Service) -> None:
    service.create("purged elsewhere")
    find(window, "purged elsewhere")
    refused = {"status": 404, "code": "not_found", "detail": "No token has this id."}

    def purged(route: Route) -> None:
        route.fulfill(status=404, json=refused) if route.request.method == "DELETE" else route.continue_()

    window.route(f"**{TOKENS}?id=*", purged)
    choose(window, "purged elsewhere", "Revoke…")
    window.get_by_role("button", name="Revoke token").click()

    expect(window.get_by_role("alert")).to_have_text("No token has this id.")


def test_an_edit_of_what_was_changed_elsewhere_says_so_and_takes_nothing_back(window: Page, service: Service) -> None:
    token = service.create("edited in two tabs", scopes=["orders:read", "orders:write"])
    window.goto(f"/dashboard/tokens/{token['id']}")
    window.get_by_role("button", name="Edit").click()
    scopes, typed = window.get_by_role("textbox", name="Scopes"), "orders:read, orders:write, orders:list"
    scopes.fill(typed)
    service.ask("PATCH", TOKENS, {"id": token["id"], "scopes": ["orders:read"]})
    window.get_by_role("button", name="Save").click()

    said = "The token was changed since it was read: read it again."
    expect(window.get_by_role("dialog").get_by_role("alert")).to_have_text(said)
    expect(scopes).to_have_value(typed)
    shown = window.locator("dd .tag")
    expect(shown).to_have_text(["orders:read"])
    window.get_by_role("button", name="Cancel").click()
    window.get_by_role("button", name="Edit").click()
    expect(scopes).to_have_value("orders:read")
    scopes.fill("orders:read, orders:list")
    window.get_by_role("button", name="Save").click()
    expect(shown).to_have_text(["orders:read", "orders:list"])


def test_the_list_is_read_again_when_its_tab_is_shown_and_by_the_clock_and_says_nothing_of_it(
    window: Page, service: Service
) -> None:
    window.clock.install()
    service.create("read again first")
    find(window, "read again")
    live = window.locator("#live")
    expect(live).to_contain_text("1 token listed")
    window.clock.pause_at(datetime.now(UTC) + timedelta(minutes=10))
    said = live.inner_text()
    service.create("read again when shown")
    window.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(row(window, "read again when shown")).to_be_visible()
    service.create("read again by the clock")
    window.clock.run_for(31_000)

    expect(row(window, "read again by the clock")).to_be_visible()
    assert live.inner_text() == said
