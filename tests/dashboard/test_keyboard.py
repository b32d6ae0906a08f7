"""Every flow again without a pointer, and the single keys."""

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


def test_pause_by_menu_and_take_it_back(window: Page, service: Service) -> None:
    token = service.create("paused by keys")
    find(window, "paused by keys")
    tab_to(window, window.get_by_role("button", name="Actions for paused by keys"))
    window.keyboard.press("Enter")
    expect(window.get_by_role("menuitem", name="Open")).to_be_focused()
    window.keyboard.press("ArrowDown")
    window.keyboard.press("ArrowDown")
    expect(window.get_by_role("menuitem", name="Deactivate")).to_be_focused()
    window.keyboard.press("Enter")

    expect(toast(window)).to_contain_text("paused by keys deactivated.")
    expect(row(window, "paused by keys")).to_contain_text("Inactive")
    expect(window.get_by_role("button", name="Actions for paused by keys")).to_be_focused()
    window.keyboard.press("u")
    expect(row(window, "paused by keys")).to_contain_text("Active")
    assert service.show(str(token["id"]))["isActive"]


def test_select_a_range_and_end_it(window: Page, service: Service) -> None:
    tokens = make(service, "range 1", "range 2", "range 3", "range 4")
    find(window, "range")
    window.keyboard.press("j")
    window.keyboard.press("x")
    for _ in range(2):
        window.keyboard.press("j")
    window.keyboard.press("X")
    expect(window.get_by_text("3 selected")).to_be_visible()
    tab_to(window, window.get_by_role("button", name="Revoke…"))
    window.keyboard.press("Enter")
    expect(window.get_by_role("button", name="Cancel")).to_be_focused()
    tab_to(window, window.get_by_label("Type revoke 3 to confirm"))
    window.keyboard.type("revoke 3")
    tab_to(window, window.get_by_role("button", name="Revoke 3 tokens"))
    window.keyboard.press("Enter")

    expect(toast(window)).to_contain_text("3 tokens revoked.")
    states = [service.show(str(token["id"]))["status"] for token in tokens]
    assert states == ["active", "revoked", "revoked", "revoked"]


def test_after_a_row_is_gone_the_focus_is_on_the_next(window: Page, service: Service) -> None:
    make(service, "gone 1", "gone 2", "gone 3")
    find(window, "gone")
    tab_to(window, window.get_by_role("button", name="Actions for gone 2"))
    window.keyboard.press("Enter")
    expect(window.get_by_role("menuitem", name="Open")).to_be_focused()
    window.keyboard.press("End")
    expect(window.get_by_role("menuitem", name="Revoke…")).to_be_focused()
    window.keyboard.press("Enter")
    tab_to(window, window.get_by_role("button", name="Revoke token"))
    window.keyboard.press("Enter")

    expect(window.get_by_role("link", name="gone 2")).to_have_count(0)
    expect(window.get_by_role("link", name="gone 1")).to_be_focused()


def test_no_single_key_revokes(window: Page, service: Service) -> None:
    token = service.create("unharmed")
    find(window, "unharmed")
    window.keyboard.press("j")
    for key in "abdefhiklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWYZ0123456789.,;-+#":
        window.keyboard.press(key)
        window.keyboard.press("Escape")
        if not window.url.endswith("unharmed"):
            find(window, "unharmed")
            window.keyboard.press("j")

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


def test_a_token_is_edited_rotated_and_its_old_secret_ended(window: Page, service: Service) -> None:
    token = service.create("kept by keys")
    window.goto(f"/dashboard/tokens/{token['id']}")
    tab_to(window, window.get_by_role("button", name="Edit"))
    window.keyboard.press("Enter")
    expect(window.get_by_label("Name")).to_be_focused()
    window.keyboard.press("End")
    window.keyboard.type(" today")
    window.keyboard.press("Enter")
    expect(window.get_by_role("heading", name="kept by keys today")).to_be_visible()
    expect(window.get_by_role("button", name="Edit")).to_be_focused()
    tab_to(window, window.get_by_role("button", name="Rotate…"))
    window.keyboard.press("Enter")
    expect(window.get_by_label("24 hours")).to_be_checked()
    tab_to(window, window.get_by_role("button", name="Rotate token"))
    window.keyboard.press("Enter")
    expect(window.get_by_role("button", name="Copy", exact=True)).to_be_focused()
    window.keyboard.press("Enter")
    expect(window.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    window.keyboard.press("Escape")
    expect(window.get_by_text("Old secret works until ")).to_be_visible()
    assert service.validate(str(token["token"])) == 200
    tab_to(window, window.get_by_role("button", name="End it now"))
    window.keyboard.press("Enter")

    expect(window.get_by_text("Old secret works until ")).to_have_count(0)
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
