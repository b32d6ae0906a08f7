"""What the list shows and how: further filters and columns in the address, views kept in the browser, and CSV."""

import csv
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import Service
from tests.dashboard.steps import move, toast
from tests.dashboard.test_hostile_text import INTRUDERS


def view(page: Page, entry: str) -> None:
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_role("menuitem", name=entry).click()


def test_filters_and_columns_are_in_the_address_and_a_view_leads_back_to_them(page: Page, service: Service) -> None:
    service.create("viewed", subject="svc:viewed", scopes=["viewed:read"], maxUses=9)
    view(page, "Filters and columns…")
    expect(page.get_by_label("Creator").first).to_be_focused()
    page.get_by_label("Subject").fill("svc:viewed")
    page.get_by_label("Token", exact=True).uncheck()
    page.get_by_label("Uses left").check()
    page.get_by_role("button", name="Show", exact=True).click()

    address = (
        f"{service.url}/dashboard/?subject=svc%3Aviewed&columns=status%2ClastUsedAt%2CexpiresAt%2Cusage14d%2CusesLeft"
    )
    expect(page).to_have_url(address)
    heads = ["", "Name", "Status", "Last used", "Expires", "Checks, 14 days", "Uses left", "Actions"]
    expect(page.locator("thead th")).to_have_text(heads)
    expect(page.locator("tbody .name")).to_have_text(["viewed"])
    expect(page.get_by_text("Only subject svc:viewed.")).to_be_visible()
    view(page, "Save this view…")
    page.get_by_label("Name").fill("<b>of viewed")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Show everything").click()
    expect(page).not_to_have_url(address)
    page.goto("/dashboard/")
    view(page, "<b>of viewed")
    expect(page).to_have_url(address)
    expect(page.locator("tbody .name")).to_have_text(["viewed"])
    view(page, "Forget <b>of viewed")
    page.keyboard.press("u")
    view(page, "Forget <b>of viewed")
    expect(toast(page)).to_contain_text("<b>of viewed forgotten.")
    page.get_by_role("button", name="View", exact=True).click()
    expect(page.get_by_role("menuitem")).to_have_text(["Filters and columns…", "Save this view…", "Download CSV"])


def test_what_an_address_asks_for_is_text_and_said_where_it_cannot_be(open_page: Open, service: Service) -> None:
    text = "<img src=x onerror=window.pwned=1>"
    page = open_page(service, f"?subject={text}&lastAddress={text * 2}&columns={text}")
    expect(page.get_by_role("alert")).to_contain_text("lastAddress: ")
    expect(page.locator(".only code")).to_have_text([text, text * 2])
    expect(page.locator(".sk")).to_have_count(0)
    assert page.evaluate(INTRUDERS) == 0
    page.get_by_role("link", name="Show everything").click()

    expect(page.locator("tbody .name")).not_to_have_count(0)
    expect(page.locator("thead th")).to_have_text(["", "Name", "Actions"])
    move(page, "audit?period=bogus")
    expect(page.get_by_role("table").get_by_role("button").first).to_be_visible()


def on_two_pages(route: Route) -> None:
    """As a token is that changes its place between them."""
    url, _, cursor = route.request.url.partition("&cursor=")
    route.fulfill(json={**route.fetch(url=url).json(), "nextCursor": None if cursor else "next"})


def test_csv_has_what_the_list_shows_once_and_nothing_that_a_spreadsheet_would_calculate(
    open_page: Open, service: Service
) -> None:
    for at, name in enumerate(("b", "a", "c")):
        service.create(f"in-csv {name}", description='=HYPERLINK("x")', scopes=["csv:1", f"of:{at}"])
    page = open_page(service, "?q=in-csv&scope=csv:1&sort=name&columns=scopes,limits")
    expect(page.locator("tbody .name")).to_have_text(["in-csv a", "in-csv b", "in-csv c"])
    page.route("**/api/admin/tokens?*limit=200*", on_two_pages)
    with page.expect_download() as loaded:
        view(page, "Download CSV")

    rows = list(csv.reader(Path(loaded.value.path()).read_text("utf-8").splitlines()))
    assert rows[0] == ["id", "name", "description", "scopes", "limits"]
    assert [row[1:] for row in rows[1:]] == [
        [f"in-csv {name}", '\'=HYPERLINK("x")', scopes, ""]
        for name, scopes in (("a", "csv:1 of:1"), ("b", "csv:1 of:0"), ("c", "csv:1 of:2"))
    ]
