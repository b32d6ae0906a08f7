"""The kill switch: counted and shown first, then paused with Undo or revoked after the number was typed."""

from playwright.sync_api import Page, expect

from tests.dashboard.service import Service
from tests.dashboard.steps import make, tab_to, toast


def test_tokens_of_a_subject_are_counted_paused_brought_back_and_revoked_by_keys(page: Page, service: Service) -> None:
    tokens = make(service, "leaked 1", "leaked 2", "leaked 3", subject="svc:leak")
    other = service.create("not leaked", subject="svc:other")
    page.get_by_role("button", name="More", exact=True).press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Kill switch")
    tab_to(page, page.get_by_label("Creator", exact=True))
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    tab_to(page, page.get_by_label("Whom they speak for"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("An empty value would match every token")).to_be_visible()
    page.keyboard.type("svc:leak")
    page.keyboard.press("Enter")
    found = page.get_by_role("region", name="Tokens found")
    expect(found.get_by_role("heading")).to_have_text("3 tokens, all active")
    expect(found.locator(".name")).to_have_text(["leaked 3", "leaked 2", "leaked 1"])
    expect(found).to_contain_text("token-service revoke --subject 'svc:leak' --dry-run")

    tab_to(page, page.get_by_role("button", name="Deactivate 3"))
    page.keyboard.press("Enter")
    expect(toast(page)).to_contain_text("3 tokens deactivated.")
    expect(found.get_by_role("heading")).to_have_text("3 tokens, 0 of them active")
    page.keyboard.press("u")
    expect(found.get_by_role("heading")).to_have_text("3 tokens, all active")
    page.get_by_role("button", name="Revoke 3…").press("Enter")
    page.get_by_label("Type revoke 3 to confirm").fill("revoke 3")
    tab_to(page, page.get_by_role("button", name="Revoke 3 tokens"))
    page.keyboard.press("Enter")

    expect(found.get_by_role("heading")).to_have_text("No token matches")
    assert [service.show(str(token["id"]))["status"] for token in tokens] == ["revoked"] * 3
    assert service.show(str(other["id"]))["status"] == "active"
