"""Six pages of an attacker, visited by a signed-in administrator, change nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from tests.dashboard.conftest import Open
from tests.dashboard.service import TOKENS, Service

FORM = """<form id=f method=post enctype="{enctype}" action="{url}{path}"><input name='{name}' value='{value}'></form>
<script>f.submit()</script>"""


def attacks(url: str, token_id: str) -> dict[str, str]:
    """The six ways, each against creating, switching off or ending a token."""
    create, off = json.dumps({"name": "forged", "duration": "7days"}), json.dumps({"id": token_id, "isActive": False})
    aim = f"{url}{TOKENS}"
    return {
        "form": FORM.format(
            enctype="application/x-www-form-urlencoded", url=url, path=TOKENS, name="name", value="forged"
        ),
        "text": FORM.format(
            enctype="text/plain", url=url, path=TOKENS, name=create[:-1] + ',"description":"', value='"}'
        ),
        "image": f'<img src="{aim}?id={token_id}&_method=DELETE"><img src="{aim}/{token_id}/rotate">',
        "fetch": f"""<script>
          const to = (method, body, headers) => fetch("{aim}", {{method, body, headers, mode: headers ? "cors" : "no-cors", credentials: "include"}}).catch(() => 0);
          Promise.all([
            to("POST", '{create}'), to("POST", new Blob(['{create}'])), to("POST", '{create}', {{"Content-Type": "application/json"}}),
            to("PATCH", '{off}', {{"Content-Type": "application/json", "X-Requested-With": "tokens-dashboard"}}),
            fetch("{aim}?id={token_id}", {{method: "DELETE", credentials: "include"}}).catch(() => 0),
            fetch("{url}/dashboard/session", {{method: "DELETE", credentials: "include"}}).catch(() => 0),
          ]).then(() => {{ document.title = "tried"; }});
        </script>""",
        "frame": f'<iframe src="{url}/dashboard/" onload="document.title = \'tried\'"></iframe>',
        "window": f"""<script>
          const other = window.open("{url}/dashboard/");
          const look = (tries) => {{
            let got = "refused";
            // Until the dashboard is there the window is an empty one, of which its opener knows the title.
            try {{ got = other.document.title || "empty"; }} catch {{ tries = 0; }}
            if (tries) return setTimeout(look, 100, tries - 1);
            try {{ other.postMessage({off}, "*"); }} catch {{ got += " message"; }}
            document.title = "tried: " + got;
          }};
          look(600);
        </script>""",
    }


@pytest.fixture
def attacker() -> Iterator[tuple[dict[str, str], int]]:
    """A web server of somebody else's; what it serves is in the dictionary."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = ("<!doctype html><title>x</title>" + pages.get(self.path[1:], "")).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield pages, server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def signed_in(open_shared: Open, service: Service) -> Page:
    """What the attacker's own pages, in other windows, say and ask is not held against it."""
    return open_shared(service, watched=False)


# An address is the same site whatever the port, so there even a strict cookie travels; localhost is another site.
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("way", ["form", "text", "image", "fetch", "frame", "window"])
def test_nothing_is_changed(
    signed_in: Page, service: Service, attacker: tuple[dict[str, str], int], way: str, host: str
) -> None:
    page = signed_in
    token = service.create(f"target of {way} at {host}")
    before = service.total()
    pages, port = attacker
    pages.update(attacks(service.url, str(token["id"])))
    evil = page.context.new_page()
    evil.goto(f"http://{host}:{port}/{way}", wait_until="commit")
    evil.wait_for_load_state("networkidle")
    if way in ("fetch", "frame", "window"):
        evil.wait_for_function("document.title.startsWith('tried')")

    assert service.total() == before
    assert service.show(str(token["id"]))["status"] == "active"
    assert service.validate(str(token["token"])) == 200
    if way == "frame":
        assert [frame.url for frame in evil.frames[1:]] == ["chrome-error://chromewebdata/"]
    if way == "window":
        expect(evil).to_have_title("tried: refused")
    page.reload()
    expect(page.get_by_role("heading", name="Tokens", exact=True)).to_be_visible()
    for opened in page.context.pages:
        if opened is not page:
            opened.close()


def test_the_same_requests_from_the_page_itself_do_work(page: Page, service: Service) -> None:
    token = service.create("target of the page itself")
    send = """([path, method, body]) => fetch(path, {
      method, body, headers: { "Content-Type": "application/json", "X-Requested-With": "tokens-dashboard" },
    }).then((response) => response.status)"""

    assert page.evaluate(send, [TOKENS, "POST", json.dumps({"name": "not forged", "duration": "7days"})]) == 201
    assert page.evaluate(send, [TOKENS, "PATCH", json.dumps({"id": token["id"], "isActive": False})]) == 200
    assert service.show(str(token["id"]))["status"] == "inactive"
