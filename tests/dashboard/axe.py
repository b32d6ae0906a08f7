"""axe-core over a page, in every scheme and width."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

from playwright.sync_api import Page

# Run by the browser's own debugger: a script tag would be stopped by the page's policy.
SOURCE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SHAPES: tuple[tuple[int, Literal["light", "dark"]], ...] = tuple(
    (width, scheme) for width in (1280, 390) for scheme in ("light", "dark")
)
_RUN = """async (tags) => {
  const { violations } = await axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
}"""


def violations(page: Page) -> list[str]:
    """What any of its rules finds in light and dark, on a desk and on a phone."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SOURCE)
    found: list[str] = []
    size: Any = page.viewport_size
    for width, scheme in SHAPES:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{width} {scheme}: {text}" for text in page.evaluate(_RUN, TAGS)]
    page.set_viewport_size(size)
    return found
