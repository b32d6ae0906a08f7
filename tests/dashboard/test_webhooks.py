"""Webhooks: added with a secret shown once, tested, and deleted."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from service.tokens.webhooks.events import EventType
from tests.dashboard.conftest import Open, Start
from tests.dashboard.screens import INSTANT
from tests.dashboard.steps import clipboard, tab_to, toast


class _Takes(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[str]:
    """The address of a receiver that takes all it is told."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Takes) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/told"
        server.shutdown()


def test_one_is_added_tested_and_deleted_by_keys(open_page: Open, start_service: Start, receiver: str) -> None:
    service = start_service(TOKENS_WEBHOOK_ALLOW_PRIVATE="on")
    page = open_page(service)
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.get_by_role("heading", name="No webhooks yet.")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Add webhook"))
    page.keyboard.press("Enter")
    assert set(page.locator("dialog [type=checkbox]").evaluate_all("all => all.map(({ value }) => value)")) == {
        event.value for event in EventType
    }
    page.keyboard.press("Enter")
    expect(page.get_by_text("Give the address of the receiver.")).to_be_visible()
    expect(page.get_by_text("Choose at least one.")).to_be_visible()
    page.keyboard.type("ftp://x")
    page.get_by_label("Created").check()
    page.get_by_label("Address").press("Enter")
    expect(page.get_by_label("Address")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Address").fill(receiver)
    page.keyboard.press("Enter")
    secret = page.get_by_role("textbox", name="Signing secret").text_content() or ""
    assert secret.startswith("whsec_")
    page.keyboard.press("Escape")
    expect(page.get_by_text("You have not copied the signing secret.")).to_be_visible()
    page.get_by_role("button", name="Copy and close").click()
    assert clipboard(page) == secret
    assert secret not in page.content()
    expect(page.get_by_text(receiver)).to_be_visible()

    tab_to(page, page.get_by_role("button", name="Send a test"))
    page.keyboard.press("Enter")
    expect(toast(page)).to_contain_text("took the test message and answered 204.")
    page.get_by_role("button", name="Rotate secret").press("Enter")
    page.get_by_role("button", name="Rotate secret").last.click()
    rotated = page.get_by_role("textbox", name="Signing secret").text_content() or ""
    assert rotated.startswith("whsec_")
    assert rotated != secret
    page.get_by_role("button", name="Copy and close").click()
    expect(page.get_by_text("Signed with the old secret, too")).to_be_visible()
    page.get_by_role("button", name="Switch off").press("Enter")
    expect(page.get_by_text("Off: it is sent nothing")).to_be_visible()
    page.get_by_role("button", name="Switch on").press("Enter")
    expect(page.get_by_text("Off: it is sent nothing")).to_be_hidden()
    page.get_by_role("button", name="Delete…").press("Enter")
    expect(page.get_by_role("alertdialog")).to_contain_text("is not sent any more")
    tab_to(page, page.get_by_role("button", name="Delete webhook"))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="No webhooks yet.")).to_be_visible()
    assert service.ask("GET", "/api/admin/webhooks") == {"webhooks": []}


def test_deliveries_a_full_list_and_a_receiver_that_takes_nothing(window: Page) -> None:
    hook = {"id": "00aa", "url": "https://hooks.example.com/x", "events": ["token.revoked"], "createdAt": INSTANT}
    standing = {"createdBy": "maria", "waiting": 1, "unread": 0, "dropped": 2, "isActive": True}
    bare = {"id": "00bb", "url": "", "events": [], "createdAt": None, "createdBy": "", "tampered": True}
    hooks = [{**hook, **standing}, {**standing, **bare}]
    window.route("**/api/admin/webhooks", lambda route: route.fulfill(json={"webhooks": hooks}))
    dead = {"id": "1-0.0", "event": "token.revoked", "status": "dead", "attempts": 9, "createdAt": INSTANT}
    told: list[dict[str, object]] = []
    window.route("**/00aa/deliveries?**", lambda route: route.fulfill(json={"deliveries": told}))
    taken = {"taken": True, "status": 204, "error": None}
    window.route("**/00aa/deliveries/1-0.0/send", lambda route: route.fulfill(json=taken))
    window.route("**/test", lambda route: route.fulfill(json={"taken": False, "status": None, "error": "no answer"}))
    window.goto("/dashboard/webhooks")
    window.get_by_text("Deliveries").click()
    expect(window.get_by_text("Nothing was sent yet.")).to_be_visible()
    # Before the test message, after whose answer the deliveries are read once more.
    told.append({**dead, "nextAttemptAt": None, "lastStatus": 500, "lastError": "answered 500"})
    window.route("**/test", lambda route: route.fulfill(status=503, json={"title": "x", "code": "busy"}), times=1)
    window.get_by_role("button", name="Send a test").click()
    # A message may have been sent: it is sent again by a person alone.
    expect(window.get_by_role("alert")).to_contain_text("It may have been done all the same")
    window.get_by_role("button", name="Try again").click()
    expect(toast(window)).to_have_text("hooks.example.com did not take the test message: no answer.")
    window.get_by_role("button", name="Send Revoked of").click()
    expect(toast(window)).to_have_text("hooks.example.com took the message and answered 204.")
    broken = window.locator("section", has_text="webhook 00bb")
    expect(broken).to_contain_text("changed outside the service")
    expect(broken.get_by_role("button")).to_have_count(1)
    expect(broken.get_by_role("button", name="Delete…")).to_be_visible()
    busy: dict[str, Any] = {"status": 503, "json": {"title": "x", "code": "busy"}}
    full = {"status": 409, "title": "Conflict", "detail": "There are 20 webhooks already.", "code": "too_many_webhooks"}
    refusals = iter((busy, {"status": 409, "json": full}))
    window.route(
        "**/api/admin/webhooks",
        lambda route: route.fulfill(**next(refusals)) if route.request.method == "POST" else route.fallback(),
    )
    window.get_by_role("button", name="Add webhook").click()
    window.get_by_label("Address").fill("https://hooks.example.com/y")
    window.get_by_role("checkbox", name="Revoked").check()
    window.get_by_role("button", name="Add webhook").last.click()
    expect(window.get_by_role("dialog").get_by_role("alert")).to_contain_text(
        "The service is busy. It may have been done"
    )
    expect(window.get_by_label("Address")).to_have_value("https://hooks.example.com/y")
    expect(window.get_by_role("checkbox", name="Revoked")).to_be_checked()
    window.get_by_role("button", name="Add webhook").last.click()

    expect(window.get_by_role("alert")).to_have_text("There are 20 webhooks already.")
