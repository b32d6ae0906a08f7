"""A page that shows what was so a while ago: changed elsewhere, in another tab or from the command line."""

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
