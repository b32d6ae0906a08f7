"""What the browser is sent for the whole dashboard, every screen of it."""

from __future__ import annotations

from playwright.sync_api import Response, expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import Service

MOST_BYTES = 30_000


def test_all_of_the_page_is_at_most_thirty_kilobytes(open_page: Open, service: Service) -> None:
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
    for path in ("audit", "help", f"tokens/{token['id']}"):
        page.goto(f"/dashboard/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        sent.pop(path.rpartition("/")[2], None)

    assert {"app.css", "main.js", "theme.js"} <= set(sent)
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
