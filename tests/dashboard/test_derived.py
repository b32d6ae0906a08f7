"""Derived tokens under the one they come from: listed, visited, ended one by one or all, and with what they come from."""

from typing import Any

from playwright.sync_api import Page, expect

from tests.dashboard.service import Service
from tests.dashboard.steps import tab_to, toast


def grow(service: Service, name: str) -> list[dict[str, Any]]:
    """A token, two derived from it, and one that is derived from the second."""
    root = service.create(name, scopes=["self:derive", "orders:read"])
    first, second = service.derive(root, scopes=["orders:read"]), service.derive(root)
    return [root, first, second, service.derive(second)]


def test_they_are_listed_visited_and_ended_from_the_keyboard(window: Page, service: Service) -> None:
    tree = root, first, second, third = grow(service, "branching")
    window.goto(f"/dashboard/tokens/{root['id']}")
    card = window.locator("section").filter(has=window.get_by_role("heading", name="Derived tokens"))
    expect(card.get_by_role("link")).to_have_count(2)
    assert set(card.get_by_role("link").all_text_contents()) == {first["id"], second["id"]}
    tab_to(window, card.get_by_role("link", name=second["id"]))
    window.keyboard.press("Enter")
    expect(window.get_by_role("heading", level=1)).to_have_text("Derived from branching")
    expect(card.get_by_role("link")).to_have_text([third["id"]])
    expect(window.get_by_role("definition").get_by_role("link", name="branching")).to_have_attribute(
        "href", f"{service.url}/dashboard/tokens/{root['id']}"
    )

    tab_to(window, card.get_by_role("button", name=f"End {third['id']}"))
    window.keyboard.press("Enter")
    expect(window.get_by_role("alertdialog")).to_contain_text("It is refused at once")
    tab_to(window, window.get_by_role("button", name="End for good"))
    window.keyboard.press("Enter")
    expect(toast(window)).to_have_text("1 derived token ended.")
    expect(card.get_by_role("link")).to_have_count(0)

    # An entry of the audit knows the nearest alone: the way there is that from the top all the same.
    last = service.derive(second)
    window.goto(f"/dashboard/audit?target={last['id']}")
    window.get_by_role("main").get_by_role("link", name="branching").click()
    expect(window.get_by_role("navigation", name="Breadcrumb").get_by_role("link")).to_have_text(
        ["Tokens", "branching", second["id"]]
    )
    window.get_by_role("definition").get_by_role("link", name="branching").click()
    expect(window).to_have_url(f"{service.url}/dashboard/tokens/{root['id']}/{second['id']}")
    expect(window.get_by_role("heading", level=1)).to_have_text("Derived from branching")

    window.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="branching").click()
    window.get_by_role("button", name="End all 2…").click()
    window.get_by_role("button", name="End for good").click()
    expect(toast(window)).to_have_text("2 derived tokens ended.")
    assert [service.validate(one["token"]) for one in tree] == [200, 401, 401, 401]


def test_what_ends_their_token_says_that_they_end_and_where_they_were_is_a_way_back(
    window: Page, service: Service
) -> None:
    root, first, *_ = grow(service, "felled")
    window.goto(f"/dashboard/tokens/{root['id']}")
    window.get_by_role("button", name="Rotate…").click()
    expect(window.get_by_role("dialog")).to_contain_text("2 tokens derived from it end at once and for good.")
    window.keyboard.press("Escape")
    window.get_by_role("button", name="Deactivate").click()
    expect(toast(window)).to_contain_text("felled deactivated. 2 tokens derived ended for good.")
    service.ask("DELETE", f"/api/admin/tokens?id={root['id']}")

    window.goto(f"/dashboard/tokens/{root['id']}/{first['id']}")

    expect(window.get_by_role("heading", name="No living token with this ID.")).to_be_visible()
    window.get_by_role("link", name="What it was derived from").click()
    expect(window.get_by_role("heading", level=1)).to_have_text("felled")
