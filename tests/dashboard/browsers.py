"""The dashboard in Firefox and WebKit, from signing in to signing out: `python -m tests.dashboard.browsers [name ...]`.

Not for CI: the browsers weigh half a gigabyte. The tests of every flow run in Chromium.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.running import running
from tests.dashboard.service import PASSWORD, Service
from tests.dashboard.webdriver import Driver, firefox, webkit

DEADLINE_SECONDS = 120.0
ESCAPE = "\ue00c"
# The last visible one that is called so, by its label or its words; of a label the field.
FIND = """(kind, name) => {
  const called = (one) => (one.ariaLabel ?? one.textContent).trim();
  const found = [...document.querySelectorAll(kind)]
    .filter((one) => one.checkVisibility() && called(one).startsWith(name)).at(-1);
  return found?.control ?? found ?? null;
}"""
# An attribute, because scripts of a driver may not share variables.
WATCH = """() => { const { dataset } = document.documentElement;
  dataset.breaches = "";
  addEventListener("securitypolicyviolation", ({ violatedDirective }) => { dataset.breaches += violatedDirective; }); }"""


class Person:
    """Does one thing after the other, each when it is there to be done."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def opens(self, url: str) -> None:
        self._driver.goto(url)
        self._driver.run(WATCH)

    def sees(self, text: str) -> None:
        self._until(lambda: self._driver.run("(text) => document.body.innerText.includes(text)", text), text)

    def presses(self, name: str, kind: str = "button, a, [role=menuitem], summary") -> None:
        self._driver.click(self._until(lambda: self._driver.run(FIND, kind, name), name))

    def fills(self, label: str, text: str) -> None:
        self.presses(label, "label")
        self._driver.type(text)

    def types(self, text: str) -> None:
        self._driver.type(text)

    def breaches(self) -> str:
        """Of the policy, since the page was opened."""
        return str(self._driver.run("() => document.documentElement.dataset.breaches"))

    @staticmethod
    def _until(ask: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + DEADLINE_SECONDS
        while not (found := ask()):
            assert time.monotonic() < end, f"never there: {what}"
            time.sleep(0.05)
        return found


def smoke(person: Person, service: Service) -> None:
    """Sign in, create, be warned, copy, deactivate, undo, export, read the reference, sign out."""
    person.opens(f"{service.url}/dashboard/")
    person.fills("Name", "admin")
    person.fills("Password", PASSWORD)
    person.presses("Sign in")
    person.sees("Keys your services use to call your APIs.")
    person.presses("Create token")
    person.fills("Name", "in this browser")
    person.presses("Create token")
    person.sees("in this browser is ready")
    person.types(ESCAPE)
    person.sees("You have not copied the token.")
    person.presses("Copy and close")
    person.presses("Actions for in this browser")
    person.presses("Deactivate")
    person.sees("in this browser deactivated.")
    person.presses("Undo")
    person.sees("in this browser activated.")
    person.presses("View")
    person.presses("Download CSV")
    person.sees("2 tokens exported.")
    assert person.breaches() == ""
    person.opens(f"{service.url}/docs")
    person.sees("/api/admin/tokens")
    assert person.breaches() == ""
    person.opens(f"{service.url}/dashboard/")
    person.presses("admin")
    person.presses("Sign out")
    person.sees("Locked out?")
    assert person.breaches() == ""


BROWSERS = {"firefox": firefox, "webkit": webkit}


def main(wanted: list[str]) -> None:
    for name in wanted or list(BROWSERS):
        data = Path(tempfile.mkdtemp(prefix="tk"))
        begun = time.monotonic()
        (data / "browser").mkdir(mode=0o700)
        with running(data, TOKENS_ADMIN_PASSWORD=PASSWORD) as process, BROWSERS[name](data / "browser") as driver:
            service = Service(process.url)
            service.create("here from the beginning")
            smoke(Person(driver), service)
        shutil.rmtree(data)
        print(f"{name}: every step, no breach of the policy, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    names = sys.argv[1:]
    if unknown := set(names) - BROWSERS.keys():
        sys.exit(f"there is no browser {', '.join(sorted(unknown))}; there are {', '.join(BROWSERS)}")
    main(names)
