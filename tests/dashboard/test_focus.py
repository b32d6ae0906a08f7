"""Where the focus is after what had it was drawn again, or is gone: never lost on the page as a whole."""

from playwright.sync_api import Page, expect

from tests.dashboard.service import Service
from tests.dashboard.steps import find, tab_to, toast


def test_undo_by_keyboard_leaves_it_in_the_main_part(window: Page, service: Service) -> None:
    service.create("taken back")
    find(window, "taken back")
    window.get_by_label("Select taken back").check()
    window.get_by_role("button", name="Deactivate", exact=True).click()
    tab_to(window, toast(window).get_by_role("button", name="Undo"))
    window.keyboard.press("Enter")

    expect(toast(window)).to_contain_text("taken back activated.")
    expect(window.locator("main")).to_be_focused()


def test_a_filter_and_a_try_again_keep_it(window: Page, service: Service) -> None:
    service.create("looked for by key")
    find(window, "looked for by key")
    states = window.get_by_role("group", name="Filter by status")
    tab_to(window, states.get_by_role("link", name="Inactive"))
    window.keyboard.press("Enter")
    expect(window.get_by_text("in Inactive")).to_be_visible()
    expect(states.get_by_role("link", name="Inactive")).to_be_focused()
    window.route("**/api/admin/tokens?*", lambda route: route.fulfill(status=500, json={"status": 500}))
    tab_to(window, states.get_by_role("link", name="Active", exact=True), "Shift+Tab")
    window.keyboard.press("Enter")
    tab_to(window, window.get_by_role("button", name="Try again"), "Shift+Tab")
    window.unroute_all()
    window.keyboard.press("Enter")

    expect(window.get_by_role("link", name="looked for by key")).to_be_visible()
    expect(window.locator("main")).to_be_focused()
