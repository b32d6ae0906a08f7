"""axe-core over a page, in every scheme and width."""

from importlib.resources import files
from typing import Any, Literal

from playwright.sync_api import Page

# Run by the browser's own debugger: a script tag would be stopped by the page's policy.
SOURCE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SHAPES: tuple[tuple[int, Literal["light", "dark"]], ...] = tuple(
    (width, scheme) for width in (1280, 390) for scheme in ("light", "dark")
)
# What the colours decide; all else is the same in the dark.
COLOURS = ["color-contrast", "link-in-text-block"]
_RUN = """async ({ rules, preload }) => {
  const options = rules ? { type: "rule", values: rules } : { type: "tag", values: %s };
  const { violations } = await axe.run(document, { runOnly: options, preload, resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
}"""


def violations(page: Page) -> list[str]:
    """What any of its rules finds in light and dark, on a desk and on a phone."""
    fresh = not page.evaluate("'axe' in window")
    if fresh:
        page.evaluate(SOURCE)
    found: list[str] = []
    size: Any = page.viewport_size
    for width, scheme in SHAPES:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        # The style sheet, which one rule reads, is the same wherever the page was not loaded again.
        asked = {"rules": COLOURS if scheme == "dark" else None, "preload": fresh and scheme == "light"}
        found += [f"{width} {scheme}: {text}" for text in page.evaluate(_RUN % TAGS, asked)]
    page.set_viewport_size(size)
    return found
