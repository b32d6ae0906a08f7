"""Every flow again without a pointer, and the single keys."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import PASSWORD, TOKENS, Service
from tests.dashboard.steps import find, make, row, tab_to, toast


def test_sign_in_and_out(open_page: Open, service: Service) -> None:
    page = open_page(service, signed_in=False)
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_visible()

    tab_to(page, page.get_by_role("button", name="admin"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Sign out")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_focused()


def test_search_step_through_and_open(page: Page, service: Service) -> None:
    make(service, "stepped 1", "stepped 2", "stepped 3")
    page.reload()
    expect(page.get_by_role("searchbox")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("stepped")
    page.keyboard.press("Enter")
    expect(page.locator("tbody .name")).to_have_text(["stepped 3", "stepped 2", "stepped 1"])
    page.locator("main").focus()

    for _ in range(2):
        page.keyboard.press("j")
    expect(page.get_by_role("link", name="stepped 2")).to_be_focused()
    page.keyboard.press("k")
    expect(page.get_by_role("link", name="stepped 3")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="stepped 3")).to_be_visible()
    expect(page).to_have_title("stepped 3 · Token Service")
    expect(page.locator("main")).to_be_focused()


def test_pause_by_menu_and_take_it_back(page: Page, service: Service) -> None:
    token = service.create("paused by keys")
    find(page, "paused by keys")
    tab_to(page, page.get_by_role("button", name="Actions for paused by keys"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Open")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Deactivate")).to_be_focused()
    page.keyboard.press("Enter")

    expect(toast(page)).to_contain_text("paused by keys deactivated.")
    expect(row(page, "paused by keys")).to_contain_text("Inactive")
    expect(page.get_by_role("button", name="Actions for paused by keys")).to_be_focused()
    page.keyboard.press("u")
    expect(row(page, "paused by keys")).to_contain_text("Active")
    assert service.show(str(token["id"]))["isActive"]


def test_select_a_range_and_end_it(page: Page, service: Service) -> None:
    tokens = make(service, "range 1", "range 2", "range 3", "range 4")
    find(page, "range")
    page.keyboard.press("j")
    page.keyboard.press("x")
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("X")
    expect(page.get_by_text("3 selected")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Revoke…"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    tab_to(page, page.get_by_label("Type revoke 3 to confirm"))
    page.keyboard.type("revoke 3")
    tab_to(page, page.get_by_role("button", name="Revoke 3 tokens"))
    page.keyboard.press("Enter")

    expect(toast(page)).to_contain_text("3 tokens revoked.")
    states = [service.show(str(token["id"]))["status"] for token in tokens]
    assert states == ["active", "revoked", "revoked", "revoked"]


def test_after_a_row_is_gone_the_focus_is_on_the_next(page: Page, service: Service) -> None:
    make(service, "gone 1", "gone 2", "gone 3")
    find(page, "gone")
    tab_to(page, page.get_by_role("button", name="Actions for gone 2"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Open")).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("menuitem", name="Revoke…")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Revoke token"))
    page.keyboard.press("Enter")

    expect(page.get_by_role("link", name="gone 2")).to_have_count(0)
    expect(page.get_by_role("link", name="gone 1")).to_be_focused()


def test_no_single_key_revokes(page: Page, service: Service) -> None:
    token = service.create("unharmed")
    find(page, "unharmed")
    page.keyboard.press("j")
    for key in "abdefhiklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWYZ0123456789.,;-+#":
        page.keyboard.press(key)
        page.keyboard.press("Escape")
        if not page.url.endswith("unharmed"):
            find(page, "unharmed")
            page.keyboard.press("j")

    assert service.show(str(token["id"]))["status"] == "active"


def test_places_sheet_and_switching_the_keys_off(page: Page, service: Service) -> None:
    page.keyboard.press("g")
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name="Audit")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page.get_by_role("heading", name="Help")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_label("Single-key shortcuts").focus()
    page.keyboard.press(" ")
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", name="Help")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_token_is_edited_rotated_and_its_old_secret_ended(page: Page, service: Service) -> None:
    token = service.create("kept by keys")
    page.goto(f"/dashboard/tokens/{token['id']}")
    tab_to(page, page.get_by_role("button", name="Edit"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.type(" today")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="kept by keys today")).to_be_visible()
    expect(page.get_by_role("button", name="Edit")).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Rotate…"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("24 hours")).to_be_checked()
    tab_to(page, page.get_by_role("button", name="Rotate token"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copy", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Old secret works until ")).to_be_visible()
    assert service.validate(str(token["token"])) == 200
    tab_to(page, page.get_by_role("button", name="End it now"))
    page.keyboard.press("Enter")

    expect(page.get_by_text("Old secret works until ")).to_have_count(0)
    assert service.validate(str(token["token"])) == 401
    assert service.ask("GET", f"{TOKENS}/{token['id']}")["name"] == "kept by keys today"


def test_tabs_of_the_examples_move_by_arrows(open_page: Open, service: Service) -> None:
    page = open_page(service, "help")
    tab_to(page, page.get_by_role("tab", name="curl"))
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tabpanel", name="Express")).to_contain_text(service.url)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="nginx")).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_contain_text(re.compile("proxy_pass +" + re.escape(service.url)))
