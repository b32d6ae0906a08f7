"""Who is signed in: one session ended, all of a user's ended, and the environment's name in the bar."""

import json
import re
import urllib.request

from playwright.sync_api import expect

from tests.dashboard.conftest import Open, Start
from tests.dashboard.service import PASSWORD, Service
from tests.dashboard.steps import BROKEN, OVERFLOW, tab_to, toast


def sign_in_again(service: Service) -> str:
    body = json.dumps({"username": "admin", "password": PASSWORD}).encode()
    request = urllib.request.Request(f"{service.url}/api/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return str(json.loads(answer.read())["token"])


def test_one_session_is_ended_then_all_of_its_user(open_page: Open, start_service: Start) -> None:
    service = start_service(TOKENS_LABEL="staging <b>")
    secret = sign_in_again(service)
    page = open_page(service)
    expect(page.get_by_text("staging <b>")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("s")
    rows = page.get_by_role("region", name="Signed in").locator("tbody tr")
    expect(rows).to_have_count(3)
    others = rows.filter(has_text="session · 127.0.0.1")
    expect(others).to_have_count(2)
    expect(rows.filter(has_text="this one")).to_contain_text("dashboard · 127.0.0.1")
    expect(rows.filter(has_text="this one").locator('[data-label="Last seen"]')).to_have_text("now")
    expect(others.first.locator('[data-label="Last seen"]')).to_have_text(re.compile("never|just now| ago"))
    known = page.get_by_role("region", name="Accounts").locator("tbody tr").filter(has_text="admin")
    expect(known.locator('[data-label="Last sign-in"] time')).to_have_attribute("title", re.compile(" UTC$"))
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate(BROKEN) == []
    assert page.evaluate(OVERFLOW) <= 0
    tab_to(page, others.first.get_by_role("button", name="End"))
    page.keyboard.press("Enter")

    expect(toast(page)).to_have_text("A session of admin was ended.")
    expect(rows).to_have_count(2)
    page.get_by_role("button", name="End all admin").click()
    expect(page.get_by_role("alertdialog")).to_contain_text("2 sign-ins end at once")
    tab_to(page, page.get_by_role("button", name="End all sessions"))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert service.validate(secret) == 401
