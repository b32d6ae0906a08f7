"""How Chromium is started, and what is noticed of every page."""

import shutil

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Playwright, Request

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """The system's Chromium; what playwright would download is neither needed nor wanted.

    The one without windows takes half the processor time of the whole one.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "these tests need Chromium: apt-get install chromium-headless-shell"
    return path


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS)


class Watch:
    """Collects what must not happen on any page of a context: errors, warnings, dialogs, other hosts."""

    def __init__(self, context: BrowserContext, url: str, *, watched: bool) -> None:
        self.context = context
        self.url = url
        self.faults: list[str] = []
        if watched:
            context.on("console", self._said)
            context.on("weberror", lambda error: self.faults.append(f"thrown: {error.error}"))
            context.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # A refusal that the page shows to its reader is logged by the browser too; it is no fault of the page.
        refused = message.text.startswith("Failed to load resource: ")
        if message.type in ("error", "warning") and not refused:
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url + "/", "data:", "about:", "blob:")):
            self.faults.append(f"another host: {request.url}")
