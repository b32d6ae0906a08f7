"""What the browser is sent: for the first view, and for the whole dashboard."""

from playwright.sync_api import Response, expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import Service

FIRST_VIEW_BYTES = 30_000
MOST_BYTES = 48_000


def test_the_first_view_is_at_most_thirty_kilobytes_and_all_of_the_page_forty_eight(
    open_page: Open, service: Service
) -> None:
    token = service.create("shown once more")
    page = open_page(service)
    sent: dict[str, int] = {}

    def count(response: Response) -> None:
        if "/dashboard/" in response.url and "session" not in response.url and response.request.method == "GET":
            assert response.headers["content-encoding"] == "gzip"
            sent[response.url.rpartition("/")[2]] = int(response.headers["content-length"])

    page.on("response", count)
    page.context.clear_cookies(name="nothing")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert set(sent) - {"", "icon.svg"} == {"app.css", "main.js", "theme.js"}
    assert sum(sent.values()) <= FIRST_VIEW_BYTES, sent
    for path in (
        "usage",
        "explain",
        "webhooks",
        "sessions",
        "import",
        "kill-switch",
        "audit",
        "help",
        f"tokens/{token['id']}",
    ):
        page.goto(f"/dashboard/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        sent.pop(path.rpartition("/")[2], None)

    assert set(sent) - {"", "icon.svg"} == {"app.css", "main.js", "theme.js", "screens.js"}
    assert sum(sent.values()) <= MOST_BYTES, sent


def test_files_are_kept_for_ever_and_the_page_is_asked_for_anew(open_page: Open, service: Service) -> None:
    page = open_page(service)
    kept: dict[str, str] = {}
    page.on("response", lambda response: kept.update({response.url: response.headers.get("cache-control", "")}))
    page.reload()

    for url, cache in kept.items():
        path = url.removeprefix(service.url)
        if path == "/dashboard/":
            assert cache == "no-cache"
        elif path.endswith((".js", ".css", ".svg")):
            assert cache == "public, max-age=31536000, immutable"
        else:
            assert cache == "no-store", path


def test_a_screen_that_is_not_loaded_says_so_and_comes_with_the_next_try(open_page: Open, service: Service) -> None:
    page = open_page(service, watched=False)
    # A list that comes later takes back what is said above it.
    expect(page.locator("tbody .name").first).to_be_visible()
    page.route("**/screens.js", lambda route: route.abort())
    page.get_by_role("link", name="Audit").click()
    expect(page.get_by_role("alert")).to_contain_text("This page was not loaded.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tokens")

    page.unroute_all()
    page.get_by_role("button", name="Reload").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Audit")
