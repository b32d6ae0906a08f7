"""The columns of a table on a terminal: the width of each, and its cells padded, cut or wrapped to it."""

import shutil
import textwrap
import unicodedata

_NARROWEST = 10
_READABLE = 30


def wrapped(cells: list[list[str]]) -> list[list[str]]:
    """The lines, with a long last column wrapped onto further lines, if there is enough room to read it."""
    before = [max(width_of(line[column]) for line in cells) + 2 for column in range(len(cells[0]) - 1)]
    room = shutil.get_terminal_size().columns - sum(before)
    if room < _READABLE:
        return cells
    lines = []
    for line in cells:
        first, *others = textwrap.wrap(line[-1], room, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [[*line[:-1], first], *([*[""] * len(before), other] for other in others)]
    return lines


def fit(widths: list[int], optional: int) -> None:
    """Make the columns fit the terminal together: first drop optional ones, then narrow the widest.

    The first column stays whole: it has the id that other commands take.
    """
    # The last column has no gap after it.
    room = shutil.get_terminal_size().columns + 2
    for _ in range(optional):
        if sum(widths) + 2 * len(widths) > room:
            widths.pop()
    while sum(widths) + 2 * len(widths) > room and max(widths[1:], default=0) > _NARROWEST:
        widths[widths.index(max(widths[1:]), 1)] -= 1


def width_of(text: str) -> int:
    """How many terminal cells a text takes."""
    # East Asian letters take two cells; an accent that combines with the letter before it takes none (UAX 11).
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def pad(text: str, width: int) -> str:
    """Exactly this wide: padded with spaces, or cut with an ellipsis."""
    while width_of(text) > width:
        # Two, because from the second time on one of them is the ellipsis.
        text = text[:-2] + "…"
    return text + " " * (width - width_of(text))
