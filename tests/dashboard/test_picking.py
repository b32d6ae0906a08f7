"""Many rows of the list at once: ticked one by one, a page of them, or all that a filter finds."""

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.api.running import wait_until
from tests.dashboard.conftest import Open, Start
from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import find, make, tab_to, toast


def test_several_are_revoked_after_the_count_was_typed(window: Page, service: Service) -> None:
    tokens = make(service, "end-of-many 1", "end-of-many 2", "end-of-many 3")
    find(window, "end-of-many")
    window.get_by_label("Select all on this page").check()

    window.get_by_role("button", name="Revoke…").click()
    dialog = window.get_by_role("alertdialog", name="Revoke 3 tokens?")
    expect(dialog.get_by_role("button", name="Revoke 3 tokens")).to_be_disabled()
    dialog.get_by_label("Type revoke 3 to confirm").fill("revoke 3")
    dialog.get_by_role("button", name="Revoke 3 tokens").click()

    expect(toast(window)).to_contain_text("3 tokens revoked.")
    assert [service.show(str(token["id"]))["status"] for token in tokens] == ["revoked"] * 3


def test_several_are_paused_and_those_that_cannot_be_woken_are_named(window: Page, service: Service) -> None:
    first, second = make(service, "some-of-many 1", "some-of-many 2")
    find(window, "some-of-many")
    window.get_by_label("Select some-of-many 1").check()
    window.get_by_label("Select some-of-many 2").check()
    expect(window.get_by_label("Select all on this page")).to_be_checked()

    window.get_by_role("button", name="Deactivate", exact=True).click()
    expect(toast(window)).to_contain_text("2 tokens deactivated.")
    service.ask("DELETE", f"{TOKENS}?id={second['id']}")
    window.get_by_role("button", name="Undo").click()

    expect(toast(window)).to_contain_text("1 activated, 1 skipped: some-of-many 2 was revoked.")
    assert service.show(str(first["id"]))["status"] == "active"


def test_what_is_picked_is_let_go_or_switched_on(window: Page, service: Service) -> None:
    (token,) = make(service, "one-of-many")
    service.ask("PATCH", TOKENS, {"id": token["id"], "isActive": False})
    find(window, "one-of-many")
    box = window.get_by_label("Select one-of-many")
    box.check()
    window.get_by_role("button", name="Clear selection").click()
    expect(box).not_to_be_checked()
    expect(window.get_by_role("region", name="Selected tokens")).to_be_hidden()

    box.check()
    window.get_by_role("button", name="Activate", exact=True).click()

    expect(toast(window)).to_contain_text("one-of-many activated.")
    assert service.show(str(token["id"]))["status"] == "active"


def test_all_that_a_filter_finds_are_changed_only_if_their_number_is_still_right(
    open_page: Open, start_service: Start
) -> None:
    service = start_service()
    make(service, *(f"many {number}" for number in range(27)))
    page = open_page(service)
    page.get_by_label("Select many 3", exact=True).check()
    page.get_by_role("button", name="Select all 27").click()
    expect(page.get_by_text("All 27 selected")).to_be_visible()
    service.create("one more")

    page.get_by_role("button", name="Deactivate", exact=True).click()

    expect(page.get_by_role("alert")).to_have_text(
        "The list changed while you were choosing (27 became 28). Check it and try again."
    )
    assert service.ask("GET", f"{TOKENS}/stats")["inactive"] == 0
    page.get_by_label("Select many 3", exact=True).check()
    page.get_by_role("button", name="Select all 28").click()
    page.get_by_role("button", name="Deactivate", exact=True).click()
    expect(toast(page)).to_contain_text("28 tokens deactivated.")
    assert service.ask("GET", f"{TOKENS}/stats")["inactive"] == 28


def test_a_change_of_many_is_stopped_between_slices_and_taken_back_whole(open_page: Open, start_service: Start) -> None:
    service = start_service()
    make(service, *(f"many {number}" for number in range(27)))
    page = open_page(service)
    page.clock.install()
    slices = iter(([f"{number:016x}" for number in range(1, 701)], [f"{number:016x}" for number in range(701, 1401)]))
    asked: list[dict[str, Any]] = []
    held: list[Route] = []

    def answer(route: Route) -> None:
        body = route.request.post_data_json
        if route.request.method != "PATCH":
            route.continue_()
            return
        asked.append(body)
        if "ids" in body:
            route.fulfill(json={"updated": body["ids"], "skipped": [], "nextCursor": None})
        elif "cursor" in body:
            held.append(route)
        else:
            route.fulfill(json={"updated": next(slices), "skipped": [], "nextCursor": "after 700"})

    page.route("**/api/admin/tokens*", answer)
    page.get_by_label("Select many 3", exact=True).check()
    page.get_by_role("button", name="Select all 27").click()
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    with page.expect_request(lambda request: "after 700" in (request.post_data or "")):
        page.get_by_role("button", name="Deactivate", exact=True).click()
    expect(toast(page)).to_contain_text("700 of 27 deactivated…")
    # A slice may take longer than other toasts stay.
    page.clock.run_for(9000)
    stop = page.get_by_role("button", name="Stop")
    tab_to(page, stop)
    page.keyboard.press("Enter")
    held[0].fulfill(json={"updated": next(slices), "skipped": [], "nextCursor": "after 1400"})

    expect(toast(page)).to_contain_text("Stopped: 1,400 of 27 deactivated.")
    page.get_by_role("button", name="Undo").click()
    expect(toast(page)).to_contain_text("1,400 tokens activated.")
    assert [(len(body["ids"]), body["isActive"]) for body in asked[2:]] == [(500, True), (500, True), (400, True)]


def test_all_that_further_filters_find_are_changed_if_their_number_is_still_right(page: Page, service: Service) -> None:
    used, *_ = make(service, "sought used", *(f"sought {number}" for number in range(26)))
    service.validate(str(used["token"]))
    wait_until(lambda: service.show(str(used["id"]))["lastUsedAt"], what="the use to be counted")

    def choose_all(number: int) -> None:
        page.get_by_label("Select sought 25", exact=True).wait_for()
        page.get_by_label("Select all on this page").check()
        page.get_by_role("button", name="Select all that match").click()
        expect(page.get_by_text(f"All {number} selected")).to_be_visible()

    page.goto("/dashboard/?q=sought&activity=never")
    choose_all(26)
    service.create("sought one more")
    page.get_by_role("button", name="Deactivate", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("(26 became 27). Check it and try again.")
    assert service.show(str(used["id"]))["status"] == "active"
    choose_all(27)
    page.get_by_role("button", name="Deactivate", exact=True).click()

    expect(toast(page)).to_contain_text("27 tokens deactivated.")
    assert [token["name"] for token in service.ask("GET", f"{TOKENS}?q=sought&status=active")["tokens"]] == [
        "sought used"
    ]
