"""Pictures of the dashboard for its readers: `python -m tests.dashboard.screenshots [folder [picture ...]]`.

The service and the tokens are real; their use, which takes weeks to come about, is made up on the way to the page.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.cli.running import running
from tests.dashboard.browser import launch
from tests.dashboard.service import PASSWORD, TOKENS, Service

FOLDER = Path(__file__).parents[2] / "deploy" / "screenshots"
HYGIENE = {
    "idle": {"30d": 31, "90d": 14},
    "neverUsed": 9,
    "countedAt": "2026-11-20T22:30:00Z",
    "expiring": {"1d": 0, "7d": 3, "14d": 12, "30d": 40},
    "neverExpire": 2,
    "expired": {"7d": 4},
}
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
# Name, description, scopes, seconds since the last use (0 for never), checks on a busy day.
MADE_UP = [
    ("staging-smoke-tests", "CI", [], 0, 0),
    ("legacy-importer", "Data platform · paused during migration", [], 864_000, 9),
    ("partner-acme", "Partner access, contract ends in March", [], 259_200, 40),
    ("billing-export", "Finance", ["invoices:read"], 3600, 2500),
    ("checkout-api", "Payments", ["orders:read", "orders:write"], 120, 50_000),
    ("grafana-datasource", "Observability", ["metrics:read"], 12, 9000),
    ("mobile-gateway", "Edge team", ["*:read"], 1, 180_000),
]


def main(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="tk"))
    with (
        running(data, TOKENS_ADMIN_PASSWORD=PASSWORD, TOKENS_LABEL="production") as process,
        sync_playwright() as playwright,
    ):
        service = Service(process.url)
        stock(service)
        browser = launch(playwright)
        for name in wanted or PICTURES:
            scheme, size, path, act = PICTURES[name]
            picture(browser, service, folder / f"{name}.png", scheme, size, path, act)
            print(folder / f"{name}.png")
        browser.close()
    shutil.rmtree(data)


def stock(service: Service) -> None:
    for at, (name, description, scopes, _, _) in enumerate(MADE_UP):
        expires = datetime.now(UTC) + timedelta(days=9 + 25 * (len(MADE_UP) - 1 - at))
        token = service.ask(
            "POST",
            TOKENS,
            {
                "name": name,
                "description": description,
                "scopes": scopes,
                "metadata": {"team": "payments"},
                "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "rateLimit": {"limit": 600, "periodSeconds": 60},
                "allowedNetworks": ["10.4.0.0/16"],
            },
        )["token"]
        if name == "legacy-importer":
            service.ask("PATCH", TOKENS, {"id": token["id"], "isActive": False})


def series(name: str, days: int, busy: int) -> list[int]:
    """The same made-up numbers for a token each time."""
    draw = random.Random(name)
    return [draw.randint(busy // 3, busy) for _ in range(days)]


def as_used(route: Route) -> None:
    """The service's answer, with a use of weeks in it."""
    answer = route.fetch()
    body: dict[str, Any] = answer.json()
    now = datetime.now(UTC)
    known = {name: (ago, busy) for name, _, _, ago, busy in MADE_UP}
    for token in body.get("tokens", [body]):
        ago, busy = known.get(token.get("name"), (0, 0))
        if ago:
            token["lastUsedAt"] = (now - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
            token["usage14d"] = series(token["name"], 14, busy)
    route.fulfill(response=answer, body=json.dumps(body))


def as_counted(route: Route) -> None:
    now = datetime.now(UTC)
    allowed, denied = series("checkout-api", 30, 50_000), series("denied", 30, 900)
    days = [
        {
            "date": (now - timedelta(days=29 - at)).strftime("%Y-%m-%d"),
            "allowed": allowed[at],
            "denied": denied[at] * (at % 3 == 1),
        }
        for at in range(30)
    ]
    last = (now - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    route.fulfill(json={"days": days, "lastUsedAt": last, "lastAddress": "10.4.8.21", "lastUserAgent": None})


def as_busy(route: Route) -> None:
    """The hours of a service whose nights are quiet."""
    size = int(route.request.url.rpartition("=")[2])
    first = datetime.now(UTC).replace(minute=0, second=0) - timedelta(hours=size - 1)
    hours = []
    for at, checks in enumerate(series("service", size, 9000)):
        hour = first + timedelta(hours=at)
        allowed = int(checks * (1 - abs(hour.hour - 13) / 16))
        reasons = {"rate_limited": allowed // 30, "insufficient_scope": allowed // 90, "expired": at % 3}
        denied = sum(reasons.values()) if at % 4 == 1 else 0
        hours.append(
            {
                "hour": hour.strftime("%Y-%m-%dT%H:00:00Z"),
                "allowed": allowed,
                "denied": denied,
                "reasons": reasons if denied else {},
            }
        )
    route.fulfill(json={"hours": hours})


def as_told(route: Route) -> None:
    """Two receivers, one of which was away for a while."""
    now = datetime.now(UTC)

    def ago(seconds: int) -> str:
        return (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    hooks = [
        ("billing.example.com/hooks/tokens", ["token.created", "token.revoked", "token.rotated"], 1, 3, 0),
        ("siem.example.com/in", ["token.expired", "token.limit_exceeded"], 0, 0, 0),
    ]
    told = [
        ("token.revoked", "pending", 40, 2, 503, "answered 503"),
        ("token.created", "delivered", 4000, 1, 204, None),
        ("token.rotated", "delivered", 9000, 3, 200, None),
        ("token.created", "dead", 90000, 19, None, "no answer within 5 s"),
    ]
    if "deliveries" in route.request.url:
        names = ("event", "status", "createdAt", "attempts", "lastStatus", "lastError", "nextAttemptAt")
        rows = [
            (event, state, ago(age), *more, ago(-20) if state == "pending" else None)
            for event, state, age, *more in told
        ]
        route.fulfill(json={"deliveries": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        names = ("url", "events", "waiting", "unread", "dropped", "id", "createdBy", "createdAt")
        rows = [(f"https://{place}", *more, place[:4], "maria", ago(8_000_000)) for place, *more in hooks]
        route.fulfill(json={"webhooks": [dict(zip(names, row, strict=True)) for row in rows]})


def picture(
    browser: Browser, service: Service, file: Path, scheme: Any, size: Any, path: str, act: Callable[[Page], object]
) -> None:
    context = browser.new_context(
        viewport=size,
        color_scheme=scheme,
        base_url=service.url,
        reduced_motion="reduce",
        device_scale_factor=2 if size is PHONE else 1,
    )
    if path != "sign-in":
        context.add_cookies([{"name": "tokens", "value": service.cookie, "url": service.url}])
    page = context.new_page()
    page.route(f"**{TOKENS}?*", as_used)
    page.route("**/tokens/*/usage?*", as_counted)
    page.route("**/admin/usage?*", as_busy)
    page.route("**/admin/webhooks**", as_told)
    page.route("**/hygiene", lambda route: route.fulfill(json=HYGIENE))
    page.goto(f"/dashboard/{path if path != 'sign-in' else ''}")
    page.locator("h1").wait_for()
    act(page)
    page.mouse.move(0, 0)
    page.screenshot(path=file)
    context.close()


def listed(page: Page) -> None:
    page.get_by_role("link", name="mobile-gateway").wait_for()


def ticked(page: Page) -> None:
    for name in ("mobile-gateway", "billing-export", "legacy-importer"):
        page.get_by_label(f"Select {name}").check()


def form(page: Page) -> None:
    listed(page)
    page.get_by_role("button", name="Create token").click()
    page.get_by_label("Scopes").fill("invoices:read")
    page.get_by_label("Name").fill("invoice-sync")


def secret(page: Page) -> None:
    form(page)
    page.keyboard.press("Enter")
    page.get_by_text("is ready").wait_for()


def revoking(page: Page) -> None:
    ticked(page)
    page.get_by_role("button", name="Revoke…").click()
    page.get_by_role("alertdialog").wait_for()


def one(page: Page) -> None:
    page.get_by_role("link", name="checkout-api").click()
    page.get_by_role("img", name="Checks per day").wait_for()


def nginx(page: Page) -> None:
    page.get_by_role("tab", name="nginx").click()
    page.get_by_text("Ready, answered in").wait_for()


def explaining(page: Page) -> None:
    page.get_by_label("Choose one").check()
    page.get_by_label("Name or ID").fill("checkout-api")
    page.get_by_label("Scopes asked for").fill("orders:read, invoices:read")
    page.get_by_label("Client address").fill("10.4.8.21")
    page.get_by_role("button", name="Explain").click()
    page.get_by_role("heading", name="Refused").wait_for()
    page.evaluate("scrollTo(0, 0)")


def signed_in(page: Page) -> None:
    page.get_by_text("this one").wait_for()


def found(page: Page) -> None:
    page.get_by_label("Scope", exact=True).check()
    page.get_by_label("Scope they hold").fill("orders:read")
    page.get_by_role("button", name="Count them").click()
    page.get_by_role("button", name="Deactivate").wait_for()


def tried(page: Page) -> None:
    lines = [json.dumps({"name": name, "secret": (name * 3)[:40], "duration": "1year"}) for name, *_ in MADE_UP]
    lines.append(json.dumps({"name": "batch-runner", "secret": "a-secret-of-another-system", "duration": "1year"}))
    file = {"name": "tokens.ndjson", "mimeType": "application/x-ndjson", "buffer": "\n".join(lines).encode()}
    page.get_by_label("File of lines").set_input_files([file])  # type: ignore[list-item]
    page.get_by_role("button", name="Try it").click()
    page.get_by_role("heading", name="Trial").wait_for()


def delivered(page: Page) -> None:
    page.locator("summary").first.click()
    page.get_by_text("Given up").wait_for()


def counted(page: Page) -> None:
    page.get_by_role("img", name="Checks per").wait_for()


def audit_log(page: Page) -> None:
    page.get_by_role("row").nth(1).wait_for()


PICTURES: dict[str, tuple[str, dict[str, int], str, Callable[[Page], object]]] = {
    "sign-in-light": ("light", DESK, "sign-in", lambda page: page.get_by_label("Name").fill("admin")),
    "tokens-light": ("light", DESK, "", listed),
    "tokens-dark": ("dark", DESK, "", listed),
    "tokens-phone": ("light", PHONE, "", listed),
    "selection-dark": ("dark", DESK, "", ticked),
    "create-light": ("light", DESK, "", form),
    "revoke-dark": ("dark", DESK, "", revoking),
    "token-dark": ("dark", DESK, "", one),
    "token-phone": ("light", PHONE, "", one),
    "audit-light": ("light", DESK, "audit", audit_log),
    "usage-light": ("light", DESK, "usage", counted),
    "usage-dark": ("dark", DESK, "usage?by=days", counted),
    "usage-phone": ("light", PHONE, "usage", counted),
    "explain-light": ("light", DESK, "explain", explaining),
    "explain-phone": ("dark", PHONE, "explain", explaining),
    "webhooks-light": ("light", DESK, "webhooks", delivered),
    "webhooks-phone": ("dark", PHONE, "webhooks", delivered),
    "sessions-light": ("light", DESK, "sessions", signed_in),
    "sessions-phone": ("dark", PHONE, "sessions", signed_in),
    "kill-switch-light": ("light", DESK, "kill-switch", found),
    "kill-switch-phone": ("dark", PHONE, "kill-switch", found),
    "import-light": ("light", DESK, "import", tried),
    "import-phone": ("dark", PHONE, "import", tried),
    "help-dark": ("dark", DESK, "help", nginx),
    "secret-light": ("light", DESK, "", secret),
}

if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, sys.argv[2:])
