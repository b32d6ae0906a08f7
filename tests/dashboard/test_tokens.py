"""The list by pointer: switched, revoked, found, sorted, paged, and what is shown when it cannot be."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Page, Route, expect

from tests.api.running import wait_until
from tests.dashboard.axe import violations
from tests.dashboard.conftest import Open, Start
from tests.dashboard.service import TOKENS, Service
from tests.dashboard.steps import BROKEN, OVERFLOW, choose, find, make, row, toast, try_now


def test_deactivating_asks_nothing_and_can_be_undone(window: Page, service: Service) -> None:
    token = service.create("to be paused")
    find(window, "to be paused")

    choose(window, "to be paused", "Deactivate")
    expect(toast(window)).to_contain_text("to be paused deactivated.")
    expect(row(window, "to be paused")).to_contain_text("Inactive")
    assert service.validate(str(token["token"])) == 401
    toast(window).get_by_role("button", name="Undo").click()

    expect(row(window, "to be paused")).to_contain_text("Active")
    assert service.validate(str(token["token"])) == 200


def test_revoking_asks_with_the_focus_on_cancel_and_ends_the_token(window: Page, service: Service) -> None:
    token = service.create("to be revoked")
    assert service.validate(str(token["token"])) == 200
    find(window, "to be revoked")

    choose(window, "to be revoked", "Revoke…")
    dialog = window.get_by_role("alertdialog", name="Revoke to be revoked?")
    expect(dialog).to_contain_text("It stops working at once and cannot be restored.")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Revoke token").click()

    expect(toast(window)).to_contain_text("to be revoked revoked.")
    expect(toast(window).get_by_role("button")).to_have_count(0)
    expect(window.get_by_role("heading", name="Nothing matches “to be revoked”.")).to_be_visible()
    assert service.validate(str(token["token"])) == 401


def test_a_secret_that_is_searched_for_finds_its_token_and_stands_in_no_address(page: Page, service: Service) -> None:
    token = service.create("pasted")
    service.create("another")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("searchbox").fill(str(token["token"]))
    expect(row(page, "another")).to_have_count(0)
    expect(row(page, "pasted")).to_be_visible()
    assert asked and not [url for url in (*asked, page.url) if str(token["token"])[:-8] in url]


def test_filters_order_and_pages_are_in_the_address_and_back_leads_back(page: Page, service: Service) -> None:
    make(service, *(f"paged {number:02}" for number in range(27)))
    page.reload()
    page.get_by_role("searchbox").fill("paged")
    expect(page).to_have_url(f"{service.url}/dashboard/?q=paged")

    page.get_by_role("columnheader", name="Name").get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("columnheader", name="Name").get_by_role("button").click()
    expect(page.locator("tbody .name").first).to_have_text("paged 00")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("26–27")).to_be_visible()
    expect(page.locator("tbody .name")).to_have_text(["paged 25", "paged 26"])
    page.reload()
    expect(page.get_by_text("26–27")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("1–25")).to_be_visible()
    page.get_by_label("Rows per page").select_option("50")
    expect(page.get_by_text("1–27")).to_be_visible()
    assert page.url == f"{service.url}/dashboard/?q=paged&sort=name&rows=50"


def test_the_tiles_add_up_and_lead_to_their_tokens(page: Page, service: Service) -> None:
    token = service.create("counted as inactive")
    service.ask("PATCH", TOKENS, {"id": token["id"], "isActive": False})
    page.reload()
    tile = page.locator(".tile b")
    expect(tile.first).not_to_have_text("–")
    total, active, expired, inactive = (int(text) for text in tile.all_inner_texts())

    page.get_by_role("region", name="Statistics").get_by_role("link", name="Inactive").click()

    assert total == active + expired + inactive
    expect(page).to_have_url(f"{service.url}/dashboard/?status=inactive")
    expect(row(page, "counted as inactive")).to_be_visible()
    expect(page.locator("tbody .status:not(.inactive)")).to_have_count(0)


def test_the_tile_of_the_expired_tells_of_the_last_week(page: Page, service: Service) -> None:
    def over() -> int:
        expired: int = service.ask("GET", f"{TOKENS}/hygiene")["expired"]["7d"]
        return expired

    before = over()
    # A date that has come before it is asked for, as on a busy machine, is refused: then a later one.
    for seconds in (3, 20, 90):
        soon = datetime.now(UTC) + timedelta(seconds=seconds)
        with suppress(HTTPError):
            service.create("over in a moment", duration=None, expiresAt=soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
            break
    wait_until(lambda: over() > before, what="the token to expire")
    page.reload()

    expect(page.locator(".tile").filter(has_text="Expired")).to_contain_text(f"{before + 1} in the last 7 days")


def test_never_used_tokens_are_found_and_used_ones_left_out(window: Page, service: Service) -> None:
    used, _ = make(service, "ever-used yes", "ever-used no")
    service.validate(str(used["token"]))
    wait_until(lambda: service.show(str(used["id"]))["lastUsedAt"], what="the use to be counted")
    window.goto("/dashboard/?q=ever-used")
    window.get_by_label("More filters").select_option("Never used")

    expect(window.locator("tbody .name")).to_have_text(["ever-used no"])
    expect(window.get_by_text("1–1 of 1")).to_be_visible()


def test_a_page_that_ended_early_is_filled_before_it_is_shown(window: Page, service: Service) -> None:
    make(service, "early-a", "early-b", "early-c")
    one_by_one = re.compile(r"(?<=limit=)\d+")
    window.route("**/api/admin/tokens?*", lambda route: route.continue_(url=one_by_one.sub("1", route.request.url)))
    window.goto("/dashboard/?q=early-&sort=name")

    expect(window.locator("tbody .name")).to_have_text(["early-a", "early-b", "early-c"])
    expect(window.get_by_text("1–3 of 3")).to_be_visible()


def test_without_tokens_the_page_says_how_to_begin(open_page: Open, start_service: Start) -> None:
    page = open_page(start_service())

    expect(page.get_by_role("heading", name="No tokens yet.")).to_be_visible()
    expect(page.get_by_text("token-service create checkout-api --expires 90d")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="Import…").click()
    expect(page.get_by_role("region", name="command")).to_contain_text("token-service import tokens.ndjson")


def test_while_redis_is_away_the_list_stays_and_changes_are_paused(window: Page, service: Service) -> None:
    service.create("still shown")
    find(window, "still shown")
    away = {"status": 503, "code": "store_unavailable", "title": "Service Unavailable", "request_id": "a8c1"}
    window.route("**/api/admin/**", lambda route: route.fulfill(status=503, json=away))

    window.get_by_role("columnheader", name="Name").get_by_role("button").click()

    expect(window.get_by_role("alert")).to_contain_text("Redis is not answering. Showing the list from ")
    expect(window.get_by_text("Trying again in ")).to_be_visible()
    expect(row(window, "still shown")).to_be_visible()
    expect(window.get_by_role("button", name="Create token")).to_be_disabled()
    expect(window.get_by_role("button", name="Create token")).to_have_attribute("title", "Changes are paused.")
    try_now(window, partial(window.unroute, "**/api/admin/**"))
    expect(window.get_by_role("alert")).to_have_count(0)
    expect(window.get_by_role("button", name="Create token")).to_be_enabled()


def test_a_page_that_cannot_begin_says_why_below_its_bar_and_begins_when_it_can(page: Page) -> None:
    away = {"status": 503, "code": "store_unavailable", "title": "Service Unavailable", "request_id": "a8c1"}
    page.route("**/dashboard/session", lambda route: route.fulfill(status=503, json=away))
    page.reload()

    expect(page.get_by_role("alert")).to_contain_text("Redis is not answering.")
    expect(page.get_by_role("link", name="Token Service, home")).to_be_visible()
    try_now(page, page.unroute_all)
    expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_visible()


def test_each_who_may_be_away_is_named(page: Page) -> None:
    answers: list[tuple[Callable[[Route], None], str]] = [
        (lambda route: route.fulfill(status=503, json={"status": 503, "code": "overloaded"}), "The service is busy."),
        (lambda route: route.fulfill(status=503, json={"status": 503, "code": "store_full"}), "Redis is full."),
        (lambda route: route.fulfill(status=502, body="Bad Gateway"), "A proxy does not reach the service."),
        (lambda route: route.abort(), "The service is not answering."),
    ]
    for answer, said in answers:
        page.unroute_all()
        page.route("**/api/admin/**", answer)
        # The count-down of the notice before may ask by itself, too.
        page.evaluate("(document.querySelector('.slot .link') ?? document.querySelector('th button')).click()")
        expect(page.get_by_role("alert")).to_contain_text(said)
    page.unroute_all()
    page.context.set_offline(True)
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("alert")).to_contain_text("This browser is offline.")


def test_a_change_that_is_not_confirmed_yet_says_so(window: Page, service: Service) -> None:
    service.create("not confirmed")
    find(window, "not confirmed")

    def doubted(route: Route) -> None:
        response = route.fetch()
        reason = {"pending": "no replica confirmed it within 150 ms"}
        route.fulfill(status=202, json=response.json() | reason)

    window.route("**/api/admin/tokens?id=*", doubted)
    row(window, "not confirmed").get_by_role("button", name="Actions for not confirmed").click()
    window.get_by_role("menuitem", name="Revoke…").click()
    window.get_by_role("button", name="Revoke token").click()

    expect(toast(window)).to_contain_text(
        "not confirmed revoked. Not confirmed yet: no replica confirmed it within 150 ms. To do it again is harmless."
    )


def test_a_change_without_an_answer_is_asked_again_by_a_person_alone(window: Page, service: Service) -> None:
    service.create("asked once")
    find(window, "asked once")
    asked: list[Any] = []

    def lose(route: Route) -> None:
        if route.request.method == "PATCH":
            asked.append(route.request.post_data_json)
        route.abort()

    window.route("**/api/admin/**", lose)
    window.get_by_label("Select asked once").check()
    window.get_by_role("button", name="Deactivate", exact=True).click()

    expect(window.get_by_role("alert")).to_contain_text(
        "It may have been done all the same: check before you try again."
    )
    expect(window.get_by_text("Trying again in")).to_have_count(0)
    assert len(asked) == 1
    window.get_by_role("button", name="Try again").click()
    expect(window.get_by_role("alert")).to_contain_text("It may have been done all the same")
    assert [change["isActive"] for change in asked] == [False, False]


def test_an_address_that_no_screen_has_is_said_and_an_unknown_secret_too(open_page: Open, service: Service) -> None:
    ends = {"of elsewhere": "", "of another system": "0123abcd"}
    for name in ("of here", *ends):
        service.create(name)
    page = open_page(service, "nowhere")
    expect(page.get_by_role("heading", name="There is nothing at this address.")).to_be_visible()

    def imported(route: Route) -> None:
        listed = route.fetch().json()
        for token in listed["tokens"]:
            if token["name"] in ends:
                token |= {"token": f"****-****-****-{ends[token['name']]}", "imported": True}
        route.fulfill(json=listed)

    page.route("**/api/admin/tokens?*", imported)
    page.get_by_role("link", name="All tokens").click()
    expect(row(page, "of elsewhere").get_by_text("imported")).to_be_visible()
    expect(row(page, "of another system").get_by_text("••••0123abcd", exact=True)).to_be_visible()
    expect(row(page, "of here").get_by_text("rtk_••••")).to_be_visible()


def test_a_failure_shows_its_request_id_and_can_be_tried_again(page: Page) -> None:
    body = {"status": 500, "code": "internal_error", "title": "Internal Server Error", "request_id": "a8c1"}
    page.route("**/api/admin/**", lambda route: route.fulfill(status=500, json=body))
    page.get_by_role("link", name="Expired").first.click()

    expect(page.get_by_role("alert")).to_contain_text("That did not work. Nothing was changed. Request ID a8c1.")
    page.unroute("**/api/admin/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_who_may_only_read_is_told_and_finds_every_change_switched_off(window: Page, service: Service) -> None:
    service.create("only looked at")

    def as_viewer(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "role": "viewer"})

    window.route("**/dashboard/session", as_viewer)
    find(window, "only looked at")

    expect(window.get_by_text("Your role can read tokens but not change them.")).to_be_visible()
    expect(window.get_by_role("button", name="Create token")).to_be_disabled()
    window.keyboard.press("c")
    expect(window.get_by_role("dialog")).to_have_count(0)
    window.get_by_role("button", name="Actions for only looked at").click()
    for name in ("Deactivate", "Rotate…", "Revoke…"):
        expect(window.get_by_role("menuitem", name=name)).to_be_disabled()
    window.get_by_role("menuitem", name="Open").click()
    expect(window.get_by_role("heading", name="only looked at")).to_be_visible()


def test_no_screen_scrolls_sideways_however_narrow_or_enlarged(open_page: Open, service: Service) -> None:
    if not service.ask("GET", f"{TOKENS}?q=wide-")["tokens"]:
        service.create("wide-" + "w" * 75, description="d" * 400, scopes=["s" * 64], metadata={"k" * 64: "v" * 200})
    # The audit calls whoever did this by the longest word that it has for anybody.
    with pytest.raises(HTTPError) as refused:
        service.ask("POST", "/api/token", {"username": "w" * 64, "password": "wrong"})
    refused.value.close()
    page = open_page(service, "?q=wide-", viewport={"width": 1280, "height": 700})
    seen: dict[str, list[int]] = {}

    def measure(place: str) -> None:
        """640 is a desk at 200 %."""
        for width in (320, 390, 640, 1000, 1280):
            page.set_viewport_size({"width": width, "height": 700})
            seen.setdefault(place, []).append(page.evaluate(OVERFLOW))
        assert page.evaluate(BROKEN) == [], place

    def measure_dialog(place: str, opener: str) -> None:
        page.get_by_role("button", name=opener).click()
        expect(page.locator("dialog")).to_be_visible()
        measure(place)
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)

    page.get_by_label(re.compile("^Select wide-")).check()
    measure("list")
    measure_dialog("revoke", "Revoke…")
    page.get_by_role("link", name=re.compile("^wide-")).click()
    measure_dialog("edit", "Edit")
    measure("token")
    every = ("token", "status", "lastUsedAt", "expiresAt", "usage14d", "createdAt", "createdBy", "subject", "scopes")
    for place in ("audit", "help", f"?q=wide-&createdBy=admin&columns={','.join(every)},usesLeft,limits"):
        page.goto(f"/dashboard/{place}")
        page.get_by_role("heading", level=1).wait_for()
        measure(place)
    expect(page.locator("thead th")).to_have_count(len(every) + 5)
    assert violations(page) == []

    assert {place: pixels for place, pixels in seen.items() if max(pixels) > 0} == {}
