"""Pictures of the dashboard for its readers: `python -m tests.dashboard.screenshots [--folder F] [picture ...]`.

The service and the tokens are real; their use, which takes weeks to come about, is made up on the way to the page.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.cli.running import running
from tests.dashboard.browser import launch
from tests.dashboard.made_up import HYGIENE, MADE_UP, as_busy, as_counted, as_told, as_used
from tests.dashboard.service import PASSWORD, TOKENS, Service

FOLDER = Path(__file__).parents[2] / "deploy" / "screenshots"
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


def main(folder: Path, wanted: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="tk"))
    with (
        running(data, TOKENS_ADMIN_PASSWORD=PASSWORD, TOKENS_LABEL="production") as process,
        sync_playwright() as playwright,
    ):
        service = Service(process.url)
        stock(service)
        share(service)
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
                "limits": [{"limit": 600, "periodSeconds": 60}],
                "allowedNetworks": ["10.4.0.0/16"],
            },
        )["token"]
        if name == "legacy-importer":
            service.ask("PATCH", TOKENS, {"id": token["id"], "isActive": False})


def share(service: Service) -> None:
    month = {"name": "month", "limit": 1_000_000, "calendar": {"unit": "month", "timeZone": "Europe/Berlin"}}
    second = {"name": "second", "limit": 50, "periodSeconds": 1}
    for subject, limits in (("acme", [month, second]), ("svc:checkout", [second | {"burst": 200}])):
        service.ask("PUT", "/api/admin/subject-limits", {"subject": subject, "limits": limits})


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
    if path.startswith("usage"):
        page.route("**/hygiene", lambda route: route.fulfill(json=HYGIENE))
    page.goto(f"/dashboard/{path if path != 'sign-in' else ''}")
    page.locator("h1").wait_for()
    act(page)
    page.mouse.move(0, 0)
    page.screenshot(path=file)
    # A list that is asked for again at this moment would be answered behind its end.
    page.unroute_all(behavior="ignoreErrors")
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
    page.get_by_role("button", name="Add scope").first.wait_for()


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


def limiting(page: Page) -> None:
    page.get_by_role("row").filter(has_text="acme").get_by_role("button", name="Edit").click()
    page.get_by_label("Time zone").first.wait_for()


def signed_in(page: Page) -> None:
    page.get_by_text("this one").wait_for()


def found(page: Page) -> None:
    page.get_by_label("Scope", exact=True).check()
    page.get_by_label("Scope they hold").fill("orders:read")
    page.get_by_role("button", name="Count them").click()
    page.get_by_role("button", name="Deactivate").wait_for()


def tried(page: Page) -> None:
    names = ("billing-sync", "batch-runner", "checkout-api", "edge-probe", "reports")
    lines = [json.dumps({"name": name, "secret": f"of-another-system-{name}", "duration": "1year"}) for name in names]
    lines.append(json.dumps({"name": "fraud-check", "secret": "short", "duration": "1year"}))
    file = {"name": "tokens.ndjson", "mimeType": "application/x-ndjson", "buffer": "\n".join(lines).encode()}
    page.get_by_label("File of lines").set_input_files([file])  # type: ignore[list-item]
    page.get_by_role("button", name="Try it").click()
    page.get_by_role("heading", name="Trial").wait_for()
    page.evaluate("scrollTo(0, 0)")


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
    "usage-phone": ("light", PHONE, "usage", counted),
    "explain-light": ("light", DESK, "explain", explaining),
    "limits-light": ("light", DESK, "limits", limiting),
    "webhooks-light": ("light", DESK, "webhooks", delivered),
    "sessions-light": ("light", DESK, "sessions", signed_in),
    "kill-switch-phone": ("dark", PHONE, "kill-switch", found),
    "import-light": ("light", DESK, "import", tried),
    "help-dark": ("dark", DESK, "help", nginx),
    "secret-light": ("light", DESK, "", secret),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.dashboard.screenshots")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to put them")
    # Not `choices`, of which argparse wants none at all to be one.
    parser.add_argument("pictures", nargs="*", metavar="picture", help=f"these alone: {', '.join(PICTURES)}")
    given = parser.parse_args()
    if unknown := set(given.pictures) - PICTURES.keys():
        parser.error(f"there is no picture {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    main(given.folder, given.pictures)
