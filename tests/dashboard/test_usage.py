"""The usage of the whole service, with real tokens."""

from functools import partial

from playwright.sync_api import Route, expect

from tests.api.running import wait_until
from tests.dashboard.conftest import Open
from tests.dashboard.screens import INSTANT, USAGE, answer
from tests.dashboard.service import Service
from tests.dashboard.steps import tab_to, toast


def test_checks_reasons_and_the_busiest(open_page: Open, service: Service) -> None:
    token = service.create("much asked")
    for _ in range(20):
        assert service.validate(str(token["token"])) == 200
    assert service.validate(str(token["token"]), **{"X-Required-Scope": "orders:read"}) == 403
    wait_until(lambda: sum(service.show(str(token["id"]))["usage14d"]) == 21, what="the checks to be counted")
    page = open_page(service, "usage")
    expect(page.get_by_role("img", name="Checks per hour for the last 48 hours.")).to_be_visible()

    tab_to(page, page.get_by_role("link", name="100 days"))
    page.keyboard.press("Enter")

    expect(page.get_by_role("img", name="Checks per day for the last 100 days.")).to_be_visible()
    expect(page.get_by_role("link", name="100 days")).to_be_focused()
    expect(page.get_by_text("Lacked a scope")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="much asked")).to_contain_text("21")
    page.get_by_role("link", name="much asked").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("much asked")


def test_the_unused_are_deactivated_as_many_as_there_are_then(open_page: Open, service: Service) -> None:
    # The help asks nothing that an answer made up for the next screen could reach.
    page = open_page(service, "help")
    answer(page, USAGE, "made up")
    quiet = {"hours": [{"hour": INSTANT, "allowed": 0, "denied": 0, "reasons": {}}]}
    page.route("**/api/admin/usage?**", lambda route: route.fulfill(json=quiet))
    page.get_by_role("link", name="Usage").click()
    expect(page.get_by_text("No token was checked in the last 48 hours.")).to_be_visible()
    expect(page.get_by_text("Nothing was denied.")).to_be_visible()
    asked: list[object] = []
    for number, body in enumerate(({"matched": 0, "sample": []}, {"matched": 2, "sample": []})):
        page.route("**/tokens/deactivate", partial(_answer, body))
        with page.expect_request("**/tokens/deactivate") as sent:
            page.get_by_role("button", name="Deactivate them").click()
        asked.append(sent.value.post_data_json)
        if not number:
            expect(toast(page)).to_have_text("There is none any more.")
            done = {"message": "", "updated": ["00aa", "00bb"], "skipped": [], "remaining": 0, "nextCursor": None}
            page.route("**/api/admin/tokens", partial(_answer, done))

    expect(toast(page)).to_contain_text("2 tokens deactivated.")
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert asked == [{"filter": {"status": "active", "unusedForDays": 90}, "dryRun": True}] * 2


def _answer(body: object, route: Route) -> None:
    route.fulfill(json=body)
