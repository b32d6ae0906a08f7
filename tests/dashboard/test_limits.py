"""Limits that the tokens of a subject share: set, changed, removed and brought back, and the fields of a limit."""

from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.dashboard.service import Service
from tests.dashboard.steps import tab_to, toast

SUBJECT = "svc:shared/a b".replace(" ", "%")
PATH = "/api/admin/subject-limits"


def kept(service: Service) -> list[dict[str, Any]]:
    (found,) = [one for one in service.ask("GET", PATH)["subjects"] if one["subject"] == SUBJECT]
    left = ("used", "remaining", "resetSeconds")
    return [{name: value for name, value in limit.items() if name not in left} for limit in found["limits"]]


def busy_for_a_change(route: Route) -> None:
    """The list beside it, which is read again now and then, would say that the service is away in the same place."""
    if route.request.method == "GET":
        route.fallback()
    else:
        route.fulfill(status=503, json={})


def test_limits_of_a_subject_are_set_by_keys_changed_removed_and_brought_back(page: Page, service: Service) -> None:
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.get_by_role("heading", level=1)).to_have_text("Shared limits")
    tab_to(page, page.get_by_role("button", name="Limit a subject"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Subject")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Say whose tokens share the limits.")).to_be_visible()
    expect(page.get_by_text("Give at least one limit.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Requests")).to_have_accessible_name("Requests")
    page.keyboard.type(SUBJECT)
    tab_to(page, page.get_by_label("Requests"))
    page.keyboard.type("50")
    tab_to(page, page.get_by_role("button", name="Add a limit"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Requests").last).to_be_focused()
    page.keyboard.type("90000")
    tab_to(page, page.get_by_label("Period").last)
    page.keyboard.press("End")
    expect(page.get_by_label("At once")).to_have_count(2)
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.get_by_label("Requests").last.evaluate("node => node.clientWidth") > 90
    page.set_viewport_size({"width": 1280, "height": 720})
    tab_to(page, page.get_by_label("Time zone").last)
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("Mars/Base")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Time zone").last).to_have_accessible_description(
        "Write an IANA time zone such as Europe/Berlin or UTC."
    )
    expect(page.get_by_label("Time zone").last).to_be_focused()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("Asia/Tokyo")
    # Before something else is asked of the page: it hears of its first route by a message that a key alone overtakes.
    page.route(f"**{PATH}", busy_for_a_change)
    tab_to(page, page.get_by_label("From day").last)
    page.keyboard.type("15")
    expect(
        page.get_by_text("That is about 50 a minute, 50 at once; 90,000 each month of Asia/Tokyo, day 15.")
    ).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The service is busy. Your entries are kept: try again in a moment.")
    page.unroute(f"**{PATH}")
    page.keyboard.press("Enter")

    expect(toast(page)).to_have_text(f"Limits of {SUBJECT} saved.")
    month = {"name": "month", "limit": 90000, "calendar": {"unit": "month", "day": 15, "timeZone": "Asia/Tokyo"}}
    minute = {"name": "minute", "limit": 50, "periodSeconds": 60, "burst": 50}
    assert kept(service) == [minute, month]

    row = page.get_by_role("row").filter(has_text=SUBJECT)
    expect(row).to_contain_text("month: 90,000 each month of Asia/Tokyo, day 15, 90,000 left, full again")
    tab_to(page, row.get_by_role("button", name="Edit"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Remove this limit").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Add a limit")).to_be_focused()
    page.get_by_role("button", name="Save").click()
    expect(row).not_to_contain_text("minute")
    assert kept(service) == [month]
    tab_to(page, row.get_by_role("button", name="Remove"))
    page.keyboard.press("Enter")
    expect(toast(page)).to_contain_text(f"Limits of {SUBJECT} removed.")
    expect(row).to_have_count(0)
    page.keyboard.press("u")
    expect(row).to_be_visible()
    assert kept(service) == [month]


def test_a_token_leads_to_what_it_shares_and_many_subjects_come_page_by_page(window: Page, service: Service) -> None:
    token = service.create("sharing", subject="svc:sharing")
    service.ask("PUT", PATH, {"subject": "svc:sharing", "limits": [{"limit": 5, "periodSeconds": 60}]})
    window.goto(f"/dashboard/tokens/{token['id']}")
    window.get_by_role("link", name="Open in shared limits").click()
    expect(window.locator("td .name")).to_have_text(["svc:sharing"])
    expect(window.get_by_text("Only the subject svc:sharing.")).to_be_visible()

    def in_pages(route: Route) -> None:
        second = "cursor=b" in route.request.url
        subjects = [{"subject": "svc:second" if second else "svc:first", "limits": []}]
        route.fulfill(json={"subjects": subjects, "nextCursor": None if second else "b"})

    window.route(f"**{PATH}**", in_pages)
    window.get_by_role("link", name="Show everything").click()
    expect(window.locator("td .name")).to_have_text(["svc:first"])
    window.get_by_role("link", name="Next").click()
    expect(window.locator("td .name")).to_have_text(["svc:second"])
    window.get_by_role("link", name="First page").click()
    expect(window.locator("td .name")).to_have_text(["svc:first"])
