"""Where the focus is after what had it was drawn again, or is gone: never lost on the page as a whole."""

from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import find, make, tab_to, toast


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


def test_the_button_that_stops_keeps_it_while_slices_come_in(window: Page, service: Service) -> None:
    make(service, *(f"sliced {number:02}" for number in range(26)))
    find(window, "sliced")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route) if route.request.method == "PATCH" else route.continue_()

    def let_go(**answer: Any) -> None:
        # Its request is told before it is held.
        while not held:
            window.wait_for_timeout(10)
        held.pop().fulfill(json={"updated": ["0" * 16], "skipped": [], "nextCursor": "more", **answer})

    window.route(f"**{TOKENS}*", hold)
    window.get_by_label("Select all on this page").check()
    window.get_by_role("button", name="Select all that match").click()
    window.get_by_role("button", name="Deactivate", exact=True).click()
    let_go()
    stop = toast(window).get_by_role("button", name="Stop")
    tab_to(window, stop)
    let_go()
    expect(toast(window)).to_contain_text("2 of 26 deactivated…")
    expect(stop).to_be_focused()
    window.keyboard.press("Enter")
    let_go(nextCursor=None)
    expect(toast(window)).to_contain_text("3 tokens deactivated.")
