"""A secret is on the page while its panel is open, and nowhere afterwards."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.api.running import wait_until
from tests.dashboard.browser import FLAGS, chromium
from tests.dashboard.conftest import Open
from tests.dashboard.service import Service
from tests.dashboard.steps import row

KEPT = """() => JSON.stringify([
  document.documentElement.outerHTML, [...document.querySelectorAll("input, textarea")].map((input) => input.value),
  Object.entries(localStorage), Object.entries(sessionStorage), history.state, location.href, document.cookie, window.name,
  String(getSelection()),
])"""
SECRET = re.compile(r"rtk_[0-9a-f]{64}")


def create(page: Page, name: str) -> str:
    """Create a token on the page; its secret as the panel shows it."""
    page.get_by_role("button", name="Create token").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create token").last.click()
    return page.get_by_role("textbox", name="Token").inner_text()


def test_closing_uncopied_is_asked_about_and_wipes(page: Page, service: Service) -> None:
    secret = create(page, "left uncopied")
    assert SECRET.fullmatch(secret)
    for attempt in ("Escape", "Escape", "button", "backdrop"):
        if attempt == "button" and page.get_by_role("button", name="Done").count():
            page.get_by_role("button", name="Done").click()
        elif attempt == "backdrop":
            page.mouse.click(5, 5)
        else:
            page.keyboard.press("Escape")
        expect(page.get_by_role("alert").get_by_text("You have not copied the token.")).to_be_visible()
        assert secret in page.content()
    page.get_by_role("button", name="Close anyway").click()

    expect(page.get_by_role("dialog")).to_have_count(0)
    assert not SECRET.search(page.evaluate(KEPT))


def test_the_whole_command_is_copied_though_it_is_masked_on_the_page(page: Page) -> None:
    secret = create(page, "with a command")
    expect(page.get_by_role("region", name="curl command with the token")).not_to_contain_text(secret)
    page.get_by_role("button", name="Copy curl command with the token").click()

    wanted = f'"Authorization: Bearer {secret}"'
    wait_until(lambda: wanted in page.evaluate("navigator.clipboard.readText()"), what="the command to be copied")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_leaving_the_page_with_an_uncopied_secret_asks_first(page: Page) -> None:
    create(page, "not left yet")
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.get_by_role("textbox", name="Token").click()
    with page.expect_event("dialog"):
        page.evaluate("location.href = '/livez'")
    expect(page.get_by_role("textbox", name="Token")).to_be_visible()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    page.reload()

    assert asked == ["beforeunload"]


def test_the_back_button_asks_too(page: Page, service: Service) -> None:
    page.get_by_role("link", name="Active").first.click()
    secret = create(page, "not gone back yet")
    page.evaluate("history.back()")

    expect(page.get_by_text("You have not copied the token.")).to_be_visible()
    assert secret in page.content()
    expect(page).to_have_url(f"{service.url}/dashboard/?status=active")
    page.get_by_role("button", name="Copy and close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert secret not in page.evaluate(KEPT)


def test_without_a_clipboard_the_token_is_selected_to_be_copied_by_hand(open_page: Open, service: Service) -> None:
    page = open_page(service)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    secret = create(page, "on plain http")
    page.get_by_role("button", name="Copy", exact=True).click()

    expect(page.get_by_text("Press Ctrl+C to copy.")).to_be_visible()
    assert page.evaluate("String(getSelection())") == secret
    expect(page.get_by_role("button", name="Copy curl command with the token")).to_have_count(0)
    page.keyboard.press("Control+c")
    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.fixture
def profile(service: Service, browser: object) -> Iterator[tuple[BrowserContext, Path]]:
    """A browser that writes to disk what browsers write."""
    folder = Path(tempfile.mkdtemp(prefix="tk"))
    browser_type = browser.browser_type  # type: ignore[attr-defined]
    context = browser_type.launch_persistent_context(
        folder, executable_path=chromium(), args=FLAGS, base_url=service.url
    )
    context.add_cookies([{"name": "tokens", "value": service.cookie, "url": service.url}])
    yield context, folder
    shutil.rmtree(folder, ignore_errors=True)


def test_no_trace_is_left_back_and_forward_and_on_disk(profile: tuple[BrowserContext, Path], service: Service) -> None:
    context, folder = profile
    page = context.pages[0]
    page.goto("/dashboard/")
    secret = create(page, "without a trace")
    page.get_by_role("textbox", name="Token").press("Control+a")
    page.get_by_role("button", name="Copy and close").click()
    refused, closed = page.get_by_text("Press Ctrl+C to copy."), page.locator("body:not(:has(dialog[open]))")
    expect(refused.or_(closed)).to_have_count(1)
    if refused.count():
        page.keyboard.press("Control+c")
        page.get_by_role("button", name="Done").click()
    expect(row(page, "without a trace")).to_be_visible()
    for move in ("audit", "back", "forward", "away", "back", "reload"):
        if move == "audit":
            page.get_by_role("link", name="Audit").click()
        elif move == "away":
            page.goto("/livez")
        else:
            {"back": page.go_back, "forward": page.go_forward, "reload": page.reload}[move]()
        assert secret not in page.evaluate(KEPT), move
        assert secret[4:] not in page.content(), move
    assert page.evaluate("'caches' in window ? caches.keys() : []") == []
    assert page.evaluate("indexedDB.databases()") == []
    context.close()

    written = [path for path in folder.rglob("*") if path.is_file()]
    assert written
    for form in (secret.encode(), secret.encode("utf-16-le")):
        assert [path.name for path in written if form in path.read_bytes()] == []
