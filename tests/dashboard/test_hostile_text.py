"""Whatever people and clients call themselves is shown as text and runs nothing."""

import unicodedata
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Open, services
from tests.dashboard.payloads import hostile
from tests.dashboard.service import Service
from tests.dashboard.steps import leave, move

# What only a string that was taken for markup could have brought.
INTRUDERS = (
    "document.querySelectorAll('main :is(script, img, iframe, object, embed, video, form:not(.search, .asks), base, style, math)').length"
    " + Number('pwned' in window) + Number(document.title === 'pwned')"
)


@pytest.fixture(scope="module")
def hostile_service() -> Iterator[tuple[Service, list[str]]]:
    """A service where every name that it takes is hostile, and every description."""
    with services() as start:
        yield filled(start())


def filled(service: Service) -> tuple[Service, list[str]]:
    names: list[str] = []
    unnamed: list[tuple[int, str]] = []
    for text in hostile():
        try:
            names.append(service.create(text, description=text)["name"])
        except HTTPError as refused:
            refused.close()
            unnamed.append((refused.code, text))
    # Only what is no name at all may be refused: separators of lines and the like.
    assert all(code == 400 for code, _ in unnamed)
    assert all(any(unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cf") for sign in text) for _, text in unnamed)
    assert len(names) > 190
    return service, names


def test_names_and_descriptions_in_the_list(open_page: Open, hostile_service: tuple[Service, list[str]]) -> None:
    service, names = hostile_service
    page = open_page(service, "?rows=100&sort=name")
    seen: list[str] = []
    for rows in (100, len(names) - 100):
        # The rows that are not seen yet come a moment after the others.
        expect(page.locator("tbody .name")).to_have_count(rows)
        seen += page.locator("tbody .name").all_text_contents()
        # A name is kept in its normal form, a description as it came.
        about = [unicodedata.normalize("NFC", text) for text in page.locator("tbody .sub").all_text_contents()]
        assert about == page.locator("tbody .name").all_text_contents()
        labels = page.locator("tbody input").evaluate_all("boxes => boxes.map((box) => box.ariaLabel)")
        assert labels == [f"Select {name}" for name in page.locator("tbody .name").all_text_contents()]
        assert page.evaluate(INTRUDERS) == 0
        first = page.locator("tbody .name").first.text_content()
        if page.get_by_role("button", name="Next").is_enabled():
            page.get_by_role("button", name="Next").click()
            expect(page.locator("tbody .name").first).not_to_have_text(first or "")

    assert sorted(seen) == sorted(names)


def test_names_in_dialogs_title_and_history(open_page: Open, hostile_service: tuple[Service, list[str]]) -> None:
    service, _ = hostile_service
    page = open_page(service, "?rows=100&sort=name")
    expect(page.locator("tbody .name")).to_have_count(100)
    listed = page.locator("tbody .name").evaluate_all("all => all.map((one) => [one.textContent, one.href])")
    for name, address in (listed[at] for at in (0, 20, 40, 60, 80)):
        leave(page)
        move(page, address.partition("/dashboard/")[2])
        page.locator("h1", has_text=name.strip()[:20]).wait_for()

        assert page.locator("h1").text_content() == name
        assert page.evaluate("document.title") == f"{name} · Token Service".strip()
        for action in ("Revoke…", "Rotate…", "Edit"):
            page.get_by_role("button", name=action).click()
            assert name in (page.locator("dialog h2").text_content() or "")
            page.keyboard.press("Escape")
            expect(page.locator("dialog")).to_have_count(0)
        page.get_by_role("button", name="Deactivate").click()
        expect(page.locator("#toast")).to_contain_text(name)
        assert page.evaluate(INTRUDERS) == 0


def test_everything_in_the_audit(page: Page) -> None:
    texts = hostile()
    entries = [
        {
            "id": str(at),
            "at": "2026-11-20T22:31:07Z",
            "action": text,
            "actor": text,
            "target": text,
            "address": text,
            "channel": text,
            "requestId": text,
            "before": None,
            "after": {text: text},
        }
        for at, text in enumerate(texts)
    ]
    page.route("**/api/admin/audit?**", lambda route: route.fulfill(json={"entries": entries, "nextCursor": None}))
    page.get_by_role("link", name="Audit").click()
    expect(page.locator("tbody tr:not([hidden])")).to_have_count(len(texts))
    page.locator("tbody button").evaluate_all("buttons => buttons.forEach((button) => button.click())")

    assert page.locator("tbody tr:nth-child(odd) td:nth-child(2)").all_text_contents() == texts
    assert page.locator("tbody tr:nth-child(odd) td:nth-child(4)").all_text_contents() == texts
    assert page.locator("tbody dt").all_text_contents() != []
    assert page.evaluate(INTRUDERS) == 0


def test_user_agents_and_addresses_of_callers(window: Page, service: Service) -> None:
    token = service.create("called by anyone")
    told = {"text": ""}
    days = [{"date": f"2026-11-{day:02}", "allowed": 1, "denied": 0} for day in range(1, 31)]
    window.route(
        "**/usage?days=30",
        lambda route: route.fulfill(
            json={
                "days": days,
                "lastUsedAt": "2026-11-20T22:31:07Z",
                "lastAddress": told["text"],
                "lastUserAgent": told["text"],
            }
        ),
    )
    window.goto(f"/dashboard/tokens/{token['id']}")
    for text in hostile()[::5]:
        told["text"] = text
        window.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
        expect(window.locator(".kpis b").last).to_have_text(text, use_inner_text=False)
        assert window.locator(".kpis span").last.text_content() == f"last address, {text}"

    assert window.evaluate(INTRUDERS) == 0


def test_what_was_searched_for(page: Page) -> None:
    for text in hostile()[::20]:
        page.get_by_role("searchbox").fill(text)
        page.get_by_role("searchbox").press("Enter")
        page.wait_for_function("text => new URLSearchParams(location.search).get('q') === text.trim()", arg=text)

    assert page.evaluate(INTRUDERS) == 0
