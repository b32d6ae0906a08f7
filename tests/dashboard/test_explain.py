"""Why a token is refused: asked with its secret, which leaves the page at once, and with its name."""

import json

from playwright.sync_api import Page, expect

from tests.dashboard.service import Service
from tests.dashboard.steps import tab_to


def test_a_pasted_token_is_explained_by_keys_and_leaves_no_trace(page: Page, service: Service) -> None:
    token = service.create("explained here", scopes=["orders:read"])
    secret = str(token["token"])
    page.keyboard.press("g")
    page.keyboard.press("e")
    tab_to(page, page.get_by_label("Token", exact=True))
    page.keyboard.type(secret)
    tab_to(page, page.get_by_label("Scopes asked for"))
    page.keyboard.type("orders:read orders:write")
    with page.expect_request("**/tokens/explain") as sent:
        page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Refused: insufficient scope")).to_be_visible()
    expect(page.get_by_label("Token", exact=True)).to_have_value("")
    assert sent.value.post_data_json == {
        "token": secret,
        "scopes": ["orders:read", "orders:write"],
        "address": None,
        "path": "/validate",
    }
    expect(page.get_by_role("listitem").filter(has_text="It lacks orders:write.")).to_contain_text("Failed")
    expect(page.get_by_role("region", name="The gateway gets")).to_contain_text("HTTP 403")
    kept = page.evaluate(
        "[document.documentElement.outerHTML, location.href, JSON.stringify({...localStorage})].join()"
    )
    assert secret not in kept + json.dumps(page.evaluate("history.state"))
    assert service.show(str(token["id"]))["lastUsedAt"] is None
    tab_to(page, page.get_by_label("Scopes asked for"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Paste a token.")).to_be_visible()


def test_a_token_is_chosen_by_name_and_what_is_wrong_is_said_below_its_field(window: Page, service: Service) -> None:
    token = service.create("chosen here")
    window.goto(f"/dashboard/tokens/{token['id']}")
    window.get_by_role("main").get_by_role("link", name="Explain").click()
    expect(window.get_by_role("heading", name="Accepted")).to_be_visible()
    expect(window.get_by_label("Name or ID")).to_have_value(str(token["id"]))
    ask = window.get_by_role("button", name="Explain")
    for name, said in (("no such name", "No token has this name."), ("0" * 16, "No token has this ID.")):
        window.get_by_label("Name or ID").fill(name)
        ask.click()
        expect(window.get_by_text(said)).to_be_visible()
        expect(window.get_by_label("Name or ID")).to_be_focused()
    window.get_by_label("Name or ID").fill("chosen here")
    window.get_by_label("Scopes asked for").fill("a" * 70)
    ask.click()
    expect(window.get_by_label("Scopes asked for")).to_have_attribute("aria-invalid", "true")
    window.get_by_label("Scopes asked for").fill("")
    window.get_by_label("Path the gateway asks").select_option("/validate/one-time")
    ask.click()

    expect(window.get_by_role("heading", name="Refused: malformed")).to_be_visible()
