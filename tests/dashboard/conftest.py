"""One Chromium and one service a worker; each test has a context of its own, watched until it ends."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.cli.running import running
from tests.dashboard.browser import Watch, launch
from tests.dashboard.service import PASSWORD, Service

Start = Callable[..., Service]
# Long enough for a machine that does much else; a page that is right answers at once.
DEADLINE_MILLISECONDS = 120_000
expect.set_options(timeout=DEADLINE_MILLISECONDS)


@contextmanager
def services() -> Iterator[Start]:
    """Starts services with a data directory of their own, as a user would; the path must stay short."""
    with ExitStack() as stack:

        def start(**settings: str) -> Service:
            folder = Path(tempfile.mkdtemp(prefix="tk"))
            stack.callback(shutil.rmtree, folder)
            return Service(stack.enter_context(running(folder, TOKENS_ADMIN_PASSWORD=PASSWORD, **settings)).url)

        yield start


@pytest.fixture
def start_service() -> Iterator[Start]:
    """Starts services for one test."""
    with services() as start:
        yield start


@pytest.fixture(scope="package")
def service() -> Iterator[Service]:
    """The service that most tests share: each makes tokens of its own names. Without any the page is another one."""
    with services() as start:
        started = start()
        started.create("here from the beginning")
        yield started


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Ends with the tests of this folder: where its loop runs, no other test can run one."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


Open = Callable[..., Page]


@contextmanager
def opening(browser: Browser) -> Iterator[Open]:
    """Opens a path of a service in a context of its own, signed in unless told otherwise; None opens nothing yet.

    At the end nothing may have broken the policy, reached another host or reported an error.
    """
    watches: list[Watch] = []

    def open_path(
        service: Service, path: str | None = "", *, signed_in: bool = True, watched: bool = True, **options: Any
    ) -> Page:
        context = browser.new_context(
            base_url=service.url, permissions=["clipboard-read", "clipboard-write"], **options
        )
        context.set_default_timeout(DEADLINE_MILLISECONDS)
        if signed_in:
            context.add_cookies([{"name": "tokens", "value": service.cookie, "url": service.url, "sameSite": "Strict"}])
        watches.append(Watch(context, service.url, watched=watched))
        page = context.new_page()
        if path is not None:
            page.goto(f"/dashboard/{path}")
            page.locator("h1").wait_for()
        return page

    yield open_path
    for watch in watches:
        watch.context.close()
        assert watch.faults == []


@pytest.fixture
def open_page(browser: Browser, start_service: Start) -> Iterator[Open]:
    assert start_service, "ends after the pages: they ask it until they are closed"
    with opening(browser) as open_path:
        yield open_path


@pytest.fixture(scope="module")
def open_shared(browser: Browser) -> Iterator[Open]:
    """For tests that go on where the one before them stood."""
    with opening(browser) as open_path:
        yield open_path


@pytest.fixture
def window(open_page: Open, service: Service) -> Page:
    """Signed in, for a test that begins elsewhere than at home: nothing is loaded yet."""
    return open_page(service, None)


@pytest.fixture
def page(open_page: Open, service: Service) -> Page:
    """The home screen, signed in."""
    return open_page(service)
