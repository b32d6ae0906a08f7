"""What the flows do again and again, in the words of the page."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.dashboard.service import Service

# How far the page is wider than its window.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

# Short words that are broken in two, which only a long one may be.
BROKEN = r"""() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = new Range();
  while (walker.nextNode()) {
    const { currentNode: node } = walker;
    for (const { 0: word, index } of node.data.matchAll(/(?<!\w)\w{2,12}(?!\w)/g)) {
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      if (new Set([...range.getClientRects()].map(({ top }) => top)).size > 1) found.push(word);
    }
  }
  return found;
}"""

# Follow a path, and wait until the screen before it is gone, with all that a selector could have found on it.
_MOVE = """async (path) => {
  const before = location.pathname;
  const old = document.querySelector("main > *");
  const go = () => {
    history.pushState(null, "", path);
    dispatchEvent(new PopStateEvent("popstate"));
  };
  go();
  // A form in which something was typed asks once.
  if (document.querySelector("dialog")) go();
  if (location.pathname === before) return;
  for (let tries = 0; old.isConnected && tries < 1000; tries += 1) await new Promise((go) => setTimeout(go, 10));
  if (old.isConnected) throw new Error(`${path} was not shown`);
}"""


def row(page: Page, name: str) -> Locator:
    """The row of a token in the list."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def find(page: Page, text: str) -> None:
    """Show the list that a search finds; it must have answered."""
    page.goto(f"/dashboard/?q={text}")
    expect(page.get_by_role("link", name=re.compile(re.escape(text))).first).to_be_visible()


def try_now(page: Page, mend: Callable[[], object]) -> None:
    """End what the page waits for, and have it try; its count-down may be over just before, and take the button away."""
    expect(page.get_by_role("button", name="Try now")).to_be_visible()
    mend()
    page.evaluate("document.querySelector('.slot .link')?.click()")


def move(page: Page, path: str) -> None:
    """To another place of the page, as a link leads there."""
    page.evaluate(_MOVE, f"/dashboard/{path}")


def leave(page: Page) -> None:
    """To a screen that asks the API nothing, without loading the page again: the next one begins anew, and the service
    answers by itself."""
    page.unroute_all()
    move(page, "help")
    expect(page).to_have_title("Help · Token Service")


def choose(page: Page, name: str, action: str) -> None:
    """An entry of a row's menu, by pointer."""
    page.get_by_role("button", name=f"Actions for {name}").click()
    page.get_by_role("menuitem", name=action).click()


def toast(page: Page) -> Locator:
    return page.locator("#toast")


def clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def make(service: Service, *names: str, **more: object) -> list[dict[str, object]]:
    return [service.create(name, **more) for name in names]


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab until the focus is there, as a person without a pointer does."""
    for _ in range(400):
        if target.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError("the focus never came there")
