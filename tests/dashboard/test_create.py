"""Creating a token and taking its secret away, by pointer and by keyboard alone."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import PASSWORD, Service
from tests.dashboard.steps import choose, clipboard, find, row, tab_to


def test_a_token_is_created_and_its_secret_copied(page: Page, service: Service) -> None:
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill("made by pointer")
    page.get_by_label("Description").fill("for a test")
    page.get_by_label("6 months").check()
    page.get_by_label("Scopes").fill("orders:read, orders:write")
    expect(page.get_by_label("Subject")).to_have_accessible_description(
        "Decides whom the token speaks for upstream. Without it, for nobody."
    )
    page.get_by_label("Subject").fill("svc:pointer")
    page.get_by_role("button", name="Create token").last.click()
    expect(page.get_by_role("heading", name="made by pointer is ready")).to_be_visible()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    page.get_by_role("button", name="Done").click()

    expect(row(page, "made by pointer")).to_contain_text("for a test · orders:read, orders:write")
    assert service.validate(clipboard(page)) == 200
    page.get_by_role("link", name="made by pointer").click()
    expect(page.get_by_role("term").filter(has_text="Speaks for")).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text="svc:pointer")).to_be_visible()


def test_four_actions_lead_from_sign_in_to_a_copied_secret(open_page: Open, service: Service) -> None:
    page = open_page(service, signed_in=False)
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_visible()

    page.keyboard.press("c")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("four actions")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copy", exact=True)).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    assert service.validate(clipboard(page)) == 200


def test_limits_are_sent_as_they_were_entered_by_keyboard(page: Page, service: Service) -> None:
    page.keyboard.press("c")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("made by keyboard")
    tab_to(page, page.get_by_label("1 month"))
    page.keyboard.press("ArrowLeft")
    tab_to(page, page.locator("summary"))
    page.keyboard.press("Enter")
    for label, text in [
        ("Requests", "600"),
        ("At once", "20"),
        ("Uses", "5000"),
        ("Networks", "10.4.0.0/16"),
        ("Metadata", "team=payments, env=test"),
    ]:
        tab_to(page, page.get_by_label(label))
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="made by keyboard is ready")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Copy and close"))
    page.keyboard.press("Enter")

    expect(page.locator("main")).to_be_focused()
    found = service.ask("GET", "/api/admin/tokens?q=made+by+keyboard")["tokens"][0]
    (limit,) = found["limits"]
    assert (limit["limit"], limit["periodSeconds"], limit["burst"]) == (600, 60, 20)
    assert (found["maxUses"], found["usesLeft"]) == (5000, 5000)
    assert found["allowedNetworks"] == ["10.4.0.0/16"]
    assert found["metadata"] == {"team": "payments", "env": "test"}
    assert clipboard(page).endswith(found["token"][-8:])


@pytest.mark.parametrize(
    ("label", "text", "fault"),
    [
        ("Name", "", "Give the token a name."),
        ("Name", "taken already", "(active, made by admin) is called taken already: rename or revoke it"),
        ("Networks", "10.4.0/16", "10.4.0/16 is not a network. Write it like 10.4.0.0/16."),
        ("Metadata", "team", "team has no value. Write it like team=payments."),
        ("Requests", "many", "Give a whole number, such as 600."),
        ("Date and time, UTC", "2020-01-01T10:00", "Choose a date at least 10 minutes from now."),
        ("Date and time, UTC", "2199-01-01T10:00", "Tokens here must expire within 365 days."),
    ],
)
def test_a_fault_is_said_below_its_field_and_the_focus_goes_there(
    page: Page, service: Service, label: str, text: str, fault: str
) -> None:
    if text == "taken already" and not service.ask("GET", "/api/admin/tokens?q=taken+already")["tokens"]:
        service.create("taken already")
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill("never made")
    page.get_by_text("Limits and metadata").click()
    if label.startswith("Date"):
        page.get_by_label("Custom date").check()
    page.get_by_label(label).fill(text)
    page.set_viewport_size({"width": 390, "height": 520})
    page.get_by_role("button", name="Create token").last.click()

    expect(page.get_by_label(label)).to_be_focused()
    expect(page.get_by_text(fault)).to_be_in_viewport()
    expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label(label)).to_have_accessible_description(re.compile(re.escape(fault)))
    assert service.ask("GET", "/api/admin/tokens?q=never+made")["tokens"] == []


def test_one_like_another_begins_with_what_that_has(window: Page, service: Service) -> None:
    given: dict[str, Any] = {
        "description": "Payments",
        "scopes": ["like:read"],
        "subject": "svc:like",
        "limits": [
            {"name": "hour", "limit": 1000, "periodSeconds": 3600, "burst": 50},
            {"name": "month", "limit": 9000, "calendar": {"unit": "month", "day": 15, "timeZone": "Asia/Tokyo"}},
        ],
        "maxUses": 7,
        "allowedNetworks": ["10.4.0.0/16"],
        "metadata": {"team": "payments"},
    }
    service.create("the pattern", **given)
    lately = [{"scopes": ["often:used", "like:read"]}, {"scopes": ["often:used", "<b>seldom"]}]
    window.route("**/api/admin/tokens?status=active&sort=-last*", lambda route: route.fulfill(json={"tokens": lately}))
    find(window, "the pattern")
    choose(window, "the pattern", "Create like this…")
    expect(window.get_by_role("heading", name="Create like the pattern")).to_be_visible()
    expect(
        window.get_by_text("That is about 17 a minute, 50 at once; 9,000 each month of Asia/Tokyo, day 15.")
    ).to_be_visible()
    expect(window.locator("button.tag")).to_have_text(["often:used", "like:read", "<b>seldom"])
    window.get_by_role("button", name="Add scope often:used").click()
    window.get_by_role("button", name="Add scope like:read").click()
    window.get_by_label("Name").fill("made like it")
    window.get_by_role("button", name="Create token").last.click()
    window.get_by_role("button", name="Copy and close").click()

    expect(window.get_by_role("dialog")).to_have_count(0)
    made = service.ask("GET", "/api/admin/tokens?q=made+like+it")["tokens"][0]
    made["limits"] = [
        {name: one[name] for name in limit} for limit, one in zip(given["limits"], made["limits"], strict=True)
    ]
    assert {name: made[name] for name in given} == given | {"scopes": ["like:read", "often:used"]}


def test_a_limit_is_said_in_words_while_it_is_typed(page: Page) -> None:
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_text("Limits and metadata").click()
    said = page.locator(".more [aria-live]")
    for requests, period, at_once, words in (
        ("100", "per minute", "20", "That is about 2 a second, 20 at once."),
        ("100", "per minute", "", "That is about 2 a second, 100 at once."),
        ("5", "per day", "1", "That is about 5 a day, 1 at once."),
        ("many", "per day", "1", ""),
    ):
        page.get_by_label("Requests").fill(requests)
        page.get_by_label("Period").select_option(period)
        page.get_by_label("At once").fill(at_once)
        expect(said).to_have_text(words)


def test_escape_asks_once_before_it_drops_what_was_typed(page: Page) -> None:
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill("typed for long")
    page.keyboard.press("Escape")

    expect(page.get_by_role("alert")).to_have_text("What you typed is not saved. Press Escape again to drop it.")
    expect(page.get_by_label("Name")).to_have_value("typed for long")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_outcome_of_the_chosen_time_is_said(page: Page) -> None:
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Custom date").check()
    page.get_by_label("Date and time, UTC").fill("2027-02-18T22:40")

    expect(page.get_by_text("Stops working on Thu 18 Feb 2027, 22:40 UTC.")).to_be_visible()


def test_a_lost_answer_and_a_second_try_make_one_token(page: Page, service: Service) -> None:
    keys = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        response = route.fetch()
        if len(keys) == 1:
            route.abort()
        else:
            route.fulfill(response=response)

    page.route("**/api/admin/tokens", lose_the_first)
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill("made once")
    page.get_by_role("button", name="Create token").last.click()
    expect(page.get_by_text("Your entries are kept")).to_be_visible()
    page.get_by_role("button", name="Create token").last.click()
    page.get_by_role("button", name="Copy and close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)

    assert len(set(keys)) == 1
    assert len(service.ask("GET", "/api/admin/tokens?q=made+once")["tokens"]) == 1
    assert service.validate(clipboard(page)) == 200
