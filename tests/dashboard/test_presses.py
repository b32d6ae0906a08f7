"""What a hand does that is quicker than the page: the second half of a double click, and the same link twice."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.dashboard.conftest import Open, Start
from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import find, make
from tests.dashboard.test_sessions import sign_in_again


def double_click(page: Page, target: Locator, changed: Callable[[], object]) -> None:
    """Both halves at one place; between them what the first one changes comes about."""
    box = target.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down(click_count=1)
    page.mouse.up(click_count=1)
    changed()
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)


def test_one_that_opens_a_question_neither_answers_nor_closes_it(open_page: Open, service: Service) -> None:
    """On a phone the button that revokes lies where the one was that asked."""
    (token,) = make(service, "pressed-twice")
    page = open_page(service, "?q=pressed-twice", viewport={"width": 360, "height": 740})
    page.get_by_label("Select pressed-twice").check()
    question = page.get_by_role("alertdialog", name="Revoke pressed-twice?")
    asked = expect(question).to_be_visible
    double_click(page, page.get_by_role("button", name="Revoke…"), asked)

    expect(question).to_be_visible()
    assert service.show(str(token["id"]))["status"] == "active"
    page.get_by_role("button", name="Cancel").click()
    page.set_viewport_size({"width": 1280, "height": 900})
    double_click(page, page.get_by_role("button", name="Revoke…"), asked)
    expect(question).to_be_visible()
    page.get_by_role("button", name="Revoke token").click()
    expect(page.locator("#toast")).to_contain_text("pressed-twice revoked.")


def test_one_on_a_row_that_goes_does_nothing_to_the_next_row(open_page: Open, start_service: Start) -> None:
    service = start_service()
    for _ in range(3):
        sign_in_again(service)
    page = open_page(service, "sessions")
    rows = page.get_by_role("region", name="Signed in").locator("tbody tr")
    expect(rows).to_have_count(5)
    double_click(page, rows.get_by_role("button", name="End").first, lambda: expect(rows).to_have_count(4))
    page.reload()

    expect(rows).to_have_count(4)


def test_one_on_what_is_drawn_again_is_two_presses(open_page: Open, start_service: Start) -> None:
    service = start_service()
    make(service, *(f"leafed {number:02}" for number in range(60)))
    page = open_page(service)
    # Rows are of one height, so that the button stays at its place.
    page.get_by_text("1–25 of 60").scroll_into_view_if_needed()
    turned = expect(page.get_by_text("26–50 of 60")).to_be_visible
    double_click(page, page.get_by_role("button", name="Next"), turned)

    expect(page.get_by_text("51–60 of 60")).to_be_visible()


def test_the_same_link_twice_is_one_step_back(window: Page, service: Service) -> None:
    find(window, "beginning")
    link = window.get_by_role("link", name="Usage")
    link.dblclick()
    expect(window.get_by_role("heading", name="Usage")).to_be_visible()
    window.evaluate("history.back()")

    expect(window.get_by_role("link", name="here from the beginning")).to_be_visible()


def test_the_way_back_from_a_form_asks_once_before_it_drops_what_was_typed(page: Page, service: Service) -> None:
    page.get_by_role("link", name="Active").first.click()
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill("typed for long")
    page.evaluate("history.back()")

    expect(page.get_by_role("alert")).to_contain_text("What you typed is not saved.")
    expect(page).to_have_url(f"{service.url}/dashboard/?status=active")
    page.evaluate("history.back()")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert service.ask("GET", f"{TOKENS}?q=typed")["tokens"] == []
