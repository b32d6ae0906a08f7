"""Signing in and out."""

from playwright.sync_api import Route, expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import PASSWORD, Service


def test_a_stranger_is_asked_to_sign_in_and_then_sees_the_page_asked_for(open_page: Open, service: Service) -> None:
    page = open_page(service, "help", signed_in=False)

    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Help")).to_be_visible()
    assert page.url == f"{service.url}/dashboard/help"


def test_a_wrong_password_says_how_many_tries_are_left_and_puts_the_focus_back(
    open_page: Open, service: Service
) -> None:
    page = open_page(service, signed_in=False)

    page.get_by_label("Name").fill("nobody here")
    page.get_by_label("Password").fill("guess")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_have_text(
        "That name and password do not match. 4 tries left before a 15 minute pause."
    )
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_value("")


def test_too_many_tries_say_when_to_come_back(open_page: Open, service: Service) -> None:
    page = open_page(service, signed_in=False)
    page.get_by_label("Name").fill("somebody else")

    for _ in range(6):
        # The page empties the field once it has read the answer.
        expect(page.get_by_label("Password")).to_have_value("")
        page.get_by_label("Password").fill("guess")
        with page.expect_response("**/dashboard/session"):
            page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("Too many tries. You can sign in again at ")


def test_where_nobody_can_sign_in_yet_the_page_says_what_to_run(open_page: Open, service: Service) -> None:
    page = open_page(service, signed_in=False)
    nobody = {"status": 401, "title": "Unauthorized", "code": "unauthorized", "accounts": False}
    page.route("**/dashboard/session", lambda route: route.fulfill(status=401, json=nobody))
    page.reload()

    expect(page.get_by_role("alert")).to_have_text(
        "No administrator exists yet. Run token-service accounts add NAME --role admin on the server, then sign in."
    )


def test_signing_out_ends_the_session_on_the_server(open_page: Open, service: Service) -> None:
    service = Service(service.url)  # with a session of its own
    page = open_page(service)

    page.get_by_role("button", name="admin").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.context.add_cookies([{"name": "tokens", "value": service.cookie, "url": service.url}])
    page.goto("/dashboard/")

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_session_that_ended_asks_again_and_leads_back(open_page: Open, service: Service) -> None:
    page = open_page(service, "audit")
    # What the page still asks for would be refused as well, and lead away before the click.
    page.wait_for_load_state("networkidle")
    page.context.clear_cookies()

    page.get_by_role("link", name="Tokens", exact=True).click()

    expect(page.get_by_role("alert")).to_have_text(
        "You were signed out because your session ended. Sign in to continue."
    )
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_visible()
    assert page.url == f"{service.url}/dashboard/"


def test_a_download_after_the_end_of_the_session_asks_again(open_page: Open, service: Service) -> None:
    for screen in ("import", "audit"):
        page = open_page(service, screen)
        page.wait_for_load_state("networkidle")
        page.context.clear_cookies()
        if screen == "audit":
            page.get_by_role("button", name="Export", exact=True).click()
        page.get_by_role("main").or_(page.get_by_role("menu")).get_by_text("NDJSON", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("your session ended")


def test_a_browser_that_keeps_no_cookie_is_told_so(open_page: Open, service: Service) -> None:
    page = open_page(service, signed_in=False)
    kept = {"username": "admin", "role": "admin"}

    def answer(route: Route) -> None:
        # The answer of a sign-in whose cookie the browser dropped.
        route.fulfill(json=kept) if route.request.method == "POST" else route.continue_()

    page.route("**/dashboard/session", answer)
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_have_text(
        "This browser did not keep the sign-in. Allow cookies for this address, then try again."
    )


def test_too_many_tries_at_a_proxy_are_said_and_can_be_tried_again(open_page: Open, service: Service) -> None:
    page = open_page(service, signed_in=False)
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    page.route("**/dashboard/session", lambda route: route.fulfill(status=429, headers=headers, body="slow down"))
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Too many tries. You can sign in again at")
    page.unroute_all()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_visible()
