"""What holds on every screen behind the list: accessible, no wider than a phone, text as text, a viewer, a failure."""

from fnmatch import fnmatch
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.dashboard.axe import violations
from tests.dashboard.conftest import Open
from tests.dashboard.payloads import hostile
from tests.dashboard.screens import SCREENS, Screen, answer
from tests.dashboard.service import Service
from tests.dashboard.steps import BROKEN, OVERFLOW, leave, move, try_now
from tests.dashboard.test_hostile_text import INTRUDERS

AWAY = {"status": 503, "title": "Service Unavailable", "code": "store_unavailable", "request_id": "a8c1"}
each_screen = pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.path)


@pytest.fixture(scope="module")
def shared(open_shared: Open, service: Service) -> Page:
    """Loaded once, with axe in it."""
    return open_shared(service, "help")


@pytest.fixture(scope="module")
def viewed(open_shared: Open, service: Service) -> Page:
    """Loaded once, by somebody who may read."""
    page = open_shared(service, None)
    page.route("**/dashboard/session", lambda route: route.fulfill(json={**route.fetch().json(), "role": "viewer"}))
    page.goto("/dashboard/help")
    # Who is signed in was answered then.
    expect(page.get_by_role("heading", level=1)).to_have_text("Help")
    return page


@each_screen
def test_it_is_accessible_fits_a_phone_and_shows_hostile_words_as_text(shared: Page, screen: Screen) -> None:
    page = shared
    for text in ("W" * 80, hostile()[80 + 10 * SCREENS.index(screen)]):
        leave(page)
        answer(page, screen, text)
        move(page, screen.path)
        if screen.act:
            screen.act(page)
        expect(page.locator(screen.drawn).first).to_be_visible()
        page.locator(".more > summary").evaluate_all("all => all.forEach((one) => one.click())")
        assert text in (page.locator("main").text_content() or "")
        if text.startswith("W"):
            assert violations(page) == []
            for width in (320, 640):  # a small phone, and a desk at 200 %
                page.set_viewport_size({"width": width, "height": 700})
                assert page.evaluate(OVERFLOW) <= 0, width
            page.set_viewport_size({"width": 1280, "height": 720})
            assert page.evaluate(BROKEN) == []

    assert page.evaluate(INTRUDERS) == 0


@each_screen
def test_a_viewer_may_read_and_a_failure_is_said_and_mended(viewed: Page, screen: Screen) -> None:
    page = viewed
    leave(page)
    page.route("**/api/admin/**", lambda route: route.fulfill(status=503, json=AWAY))
    move(page, screen.path)
    if screen.act is None:
        expect(page.get_by_role("alert")).to_contain_text("not answering")
        try_now(page, partial(answer, page, screen, "mended"))
        expect(page.locator(screen.drawn).first).to_be_visible()

    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.locator("[data-change]:enabled").count() == 0


class Held:
    """Requests that are answered when they are let go."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers
        self._waiting: list[Route] | None = []

    def take(self, route: Route) -> None:
        if self._waiting is not None:
            self._waiting.append(route)
            return
        found = [body for at, body in self._answers.items() if fnmatch(route.request.url, at)]
        if found:
            route.fulfill(json=found[0])
        else:  # asked by the screen before
            route.fallback()

    def let_go(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for route in waiting:
            self.take(route)


@each_screen
def test_each_says_that_it_waits_and_that_there_is_nothing(shared: Page, screen: Screen) -> None:
    page = shared
    leave(page)
    held = Held(screen.nothing)
    page.route("**/api/admin/**", held.take)
    move(page, screen.path)
    if screen.act:
        screen.act(page)
    expect(page.locator("[aria-busy=true]")).to_have_count(1)
    held.let_go()
    expect(page.get_by_text(screen.said).first).to_be_visible()


def test_what_does_not_fit_the_bar_is_behind_more(open_page: Open, service: Service) -> None:
    page = open_page(service, viewport={"width": 320, "height": 700})
    more = page.get_by_role("button", name="More", exact=True)
    shown = page.get_by_role("navigation", name="Main").locator("a:visible").all_text_contents()
    more.press("Enter")
    hidden = page.get_by_role("menuitem").all_text_contents()
    assert (shown, hidden) == (
        ["Tokens"],
        [
            "Usage",
            "Explain",
            "Audit",
            "Help",
            "Shared limits",
            "Webhooks",
            "Sessions",
            *("Import and export", "Kill switch"),
        ],
    )
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", level=1)).to_have_text("Help")
    expect(page.locator("main")).to_be_focused()
    assert page.evaluate(OVERFLOW) <= 0
