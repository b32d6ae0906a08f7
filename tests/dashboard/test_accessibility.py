"""axe on every screen: no violation, light and dark, 1280 and 390 px."""

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.axe import violations
from tests.dashboard.conftest import Open
from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import leave, move

EMPTY = {"status": 503, "title": "Service Unavailable", "code": "store_unavailable", "request_id": "a8c1"}
# Words beside the parts of a dialog: such as a number that was to say whether there is one.
BARE_TEXT = "node => [...node.childNodes].map((part) => part.nodeType === 3 ? part.data : '').join('')"


@pytest.fixture(scope="module")
def stocked(service: Service) -> Service:
    """One token of each state, so that every colour is on the page."""
    for state in ("active", "inactive", "revoked", "used"):
        token = service.create(f"axe {state}", description="Payments", scopes=["orders:read"], metadata={"team": "axe"})
        if state == "inactive":
            service.ask("PATCH", TOKENS, {"id": token["id"], "isActive": False})
        if state == "revoked":
            service.ask("DELETE", f"{TOKENS}?id={token['id']}")
        if state == "used":
            service.validate(str(token["token"]))
    return service


@pytest.fixture(scope="module")
def shared(open_shared: Open, stocked: Service) -> Page:
    """Loaded once, with axe in it."""
    return open_shared(stocked, "help")


@pytest.fixture
def home(shared: Page) -> Page:
    leave(shared)
    move(shared, "?q=axe&status=all")
    expect(shared.locator("tbody .name")).to_have_count(4)
    return shared


def test_sign_in_with_a_refusal(open_page: Open, service: Service) -> None:
    page = open_page(service, signed_in=False)
    page.get_by_label("Name").fill("axe nobody")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not match")

    assert violations(page) == []


def test_the_list_with_an_open_menu_and_ticked_rows(home: Page) -> None:
    home.get_by_label("Select axe active").check()
    home.get_by_role("button", name="Actions for axe used").click()
    expect(home.get_by_role("menu")).to_be_visible()

    assert violations(home) == []


def test_the_form_with_faults(home: Page) -> None:
    home.get_by_role("button", name="Create token").click()
    home.get_by_label("Custom date").check()
    home.get_by_text("Limits and metadata").click()
    home.get_by_label("Metadata").fill("wrong")
    home.get_by_role("button", name="Create token").last.click()
    expect(home.get_by_text("Give the token a name.")).to_be_visible()

    assert violations(home) == []


def test_the_secret_and_its_warning(home: Page) -> None:
    home.get_by_role("button", name="Create token").click()
    home.get_by_label("Name").fill("not among those listed")
    home.keyboard.press("Enter")
    expect(home.get_by_text("is ready")).to_be_visible()
    home.keyboard.press("Escape")
    expect(home.get_by_text("You have not copied the token.")).to_be_visible()

    assert violations(home) == []
    home.get_by_role("button", name="Close anyway").click()


def test_revoking_several(home: Page) -> None:
    home.get_by_label("Select axe active").check()
    home.get_by_label("Select axe inactive").check()
    home.get_by_role("button", name="Revoke…").click()
    expect(home.get_by_role("alertdialog")).to_be_visible()

    assert home.locator("dialog .body").evaluate(BARE_TEXT) == ""
    assert violations(home) == []


def test_one_token_with_numbers(home: Page) -> None:
    days = [{"date": f"2026-10-{day:02}", "allowed": day * 900, "denied": day % 3 * 40} for day in range(1, 31)]
    usage = {"days": days, "lastUsedAt": "2026-10-30T10:00:00Z", "lastAddress": "10.4.8.21", "lastUserAgent": None}
    home.route("**/usage?days=30", lambda route: route.fulfill(json=usage))
    home.get_by_role("link", name="axe used").click()
    home.get_by_text("Show as table").click()
    expect(home.get_by_role("region", name="Checks per day")).to_be_visible()

    assert violations(home) == []
    home.get_by_role("button", name="Rotate…").click()
    expect(home.locator("dialog")).to_be_visible()
    assert home.locator("dialog .body").evaluate(BARE_TEXT) == ""
    assert violations(home) == []


def test_the_audit_with_an_expanded_entry(home: Page) -> None:
    entries = [
        {
            "id": str(at),
            "at": "2026-11-20T22:31:07Z",
            "action": action,
            "actor": "maria",
            "target": "00aa",
            "address": "10.4.1.7",
            "channel": "dashboard",
            "requestId": "a8c1",
            "before": None,
            "after": {"name": "checkout-api"},
        }
        for at, action in enumerate(("token.created", "login.throttled", "token.revoked"))
    ]
    entries[1]["after"] = {"count": 12, "first": "2026-11-20T22:30:02Z", "last": "2026-11-20T22:31:05Z"}
    home.route("**/api/admin/audit?**", lambda route: route.fulfill(json={"entries": entries, "nextCursor": "x"}))
    home.get_by_role("link", name="Audit").click()
    home.get_by_role("button", name="Created").click()
    expect(home.get_by_role("definition")).to_be_visible()
    expect(home.get_by_role("button", name="Sign-in paused, 12 times")).to_be_visible()

    assert violations(home) == []


def test_help_and_the_sheet_of_keys(home: Page) -> None:
    home.get_by_role("link", name="Help").click()
    expect(home.get_by_text("Ready, answered in")).to_be_visible()
    assert violations(home) == []
    home.keyboard.press("?")
    expect(home.get_by_role("dialog")).to_be_visible()

    assert violations(home) == []


def test_nothing_found_and_redis_away(home: Page) -> None:
    home.get_by_role("searchbox").fill("axe that is not there")
    expect(home.get_by_role("heading", name="Nothing matches")).to_be_visible()
    assert violations(home) == []
    home.route("**/api/admin/**", lambda route: route.fulfill(status=503, json=EMPTY))
    home.get_by_role("link", name="Expired").first.click()
    expect(home.get_by_role("alert")).to_contain_text("Redis is not answering.")

    assert violations(home) == []


def test_an_unknown_token(shared: Page) -> None:
    leave(shared)
    move(shared, "tokens/00ffffffffffffff")
    expect(shared.get_by_role("heading", name="No token with this ID.")).to_be_visible()

    assert violations(shared) == []


def test_axe_itself_would_notice(home: Page) -> None:
    home.evaluate("document.querySelector('.page-head p').style.color = 'rgb(235, 236, 238)'")
    home.evaluate("document.querySelector('input[type=checkbox]').removeAttribute('aria-label')")

    found = " ".join(violations(home))

    assert "color-contrast" in found
    assert "label" in found
