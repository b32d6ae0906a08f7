"""What commands print: tables and facts for people, tab-separated lines for pipes, JSON on demand, and progress.

Names and descriptions are untrusted text: characters that a terminal would obey are printed as escapes.
"""

import errno
import io
import json
import os
import re
import select
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

import click

from service.api.pages.csv_rows import csv_rows
from service.cli.failure import Failure
from service.cli.terminal.columns import fit, pad, width_of, wrapped

_COLOURS = {
    "active": "green",
    "ok": "green",
    "inactive": "bright_black",
    "expired": "yellow",
    "warning": "yellow",
    "revoked": "red",
    "failed": "red",
    "pass": "green",
    "fail": "red",
}
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?Z")
# Checked first: testing each character of a hundred thousand tokens would take seconds.
_NOT_PLAIN = re.compile(r"[^ -~]")
# Return to the first column, and erase to the end of the line (ECMA-48).
_CLEARED = "\r\x1b[K"


def on_terminal() -> bool:
    """True if a person reads standard output."""
    return sys.stdout.isatty()


def require_printable(stream: IO[str]) -> None:
    """Called before a secret is made that is shown only once. Raises Failure if it could not be printed."""
    if reason := _unprintable(stream):
        raise Failure(f"nothing was made, because its secret could not be printed: {reason}")


def _unprintable(stream: IO[str]) -> str:
    # The null device replaces a stream that the caller closed, see __main__.py.
    if getattr(stream, "name", "") == os.devnull:
        return "standard output is closed"
    try:
        descriptor = stream.fileno()
        # An empty write makes a full device fail, without any output.
        os.write(descriptor, b"")
        status = os.fstat(descriptor)
    except io.UnsupportedOperation:
        return ""
    except OSError as error:
        return os.strerror(error.errno or 0)
    watched = select.poll()
    watched.register(descriptor, 0)
    if any(event & select.POLLERR for _, event in watched.poll(0)):
        return "nobody reads it"
    full = stat.S_ISREG(status.st_mode) and not os.fstatvfs(descriptor).f_bavail
    return os.strerror(errno.ENOSPC) if full else ""


def print_json(value: object) -> None:
    """Indented JSON, with control characters escaped."""
    click.echo(_json(value))


def print_json_list(name: str, parts: Iterable[Sequence[object]], others: Mapping[str, object]) -> None:
    """An object with a list of this name and its other members, as `print_json` prints it; each part as it comes.

    If a part is refused, the object ends with a member that says so: the output is JSON all the same.
    """
    click.echo(f"{_around(name, others)[0]}[", nl=False)
    separator, end = "", "]"
    try:
        for part in parts:
            if lines := ",".join([f"\n{_json(value)}".replace("\n", "\n    ") for value in part]):
                click.echo(f"{separator}{lines}", nl=False)
                separator, end = ",", "\n  ]"
    except (Failure, KeyboardInterrupt):
        others = {**others, "incomplete": True}
        raise
    finally:
        click.echo(f"{end}{_around(name, others)[1]}")


def _around(name: str, others: Mapping[str, object]) -> list[str]:
    """The JSON of the object before and after its list."""
    return _json({name: [], **others}).split("[]", 1)


def _json(value: object) -> str:
    # Names in any script stay readable; what a terminal would obey is escaped below.
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _NOT_PLAIN.sub(
        lambda sign: f"\\u{ord(sign[0]):04x}" if sign[0] != "\n" and _obeyed(sign[0]) else sign[0], text
    )


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, optional: int | None = None) -> None:
    """Rows under headings; if piped, tab-separated without headings.

    With `optional` the rows are made to fit the terminal: as many of the last columns as necessary, at most that many,
    are left out, and then the widest but the first are cut. Without it nothing is lost: the last column is wrapped at
    words.
    """
    cells = [[_text(value) for value in row] for row in rows]
    if not on_terminal():
        for line in cells:
            click.echo("\t".join(line))
        return
    cells = [list(headings), *([_shorter(cell) for cell in line] for line in cells)]
    if optional is None:
        cells = wrapped(cells)
    widths = [max(width_of(line[column]) for line in cells) for column in range(len(headings))]
    if optional is not None:
        fit(widths, optional)
    for number, line in enumerate(cells):
        # Not strict, because there are fewer widths than cells if columns were left out.
        padded = [pad(cell, width) for cell, width in zip(line, widths, strict=False)]
        click.echo("  ".join([_coloured(cell) if number else _bold(cell) for cell in padded]).rstrip())


def print_csv(headings: Sequence[str], parts: Iterable[Sequence[Sequence[object]]]) -> None:
    """Each part of the rows as it comes; a missing value is empty."""
    first = [headings]
    for part in parts:
        cells = [["" if value in (None, "", []) else _text(value) for value in row] for row in part]
        click.echo(csv_rows([*first, *cells]), nl=False)
        first = []


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """One `label value` per line; if piped, tab-separated."""
    if not on_terminal():
        for label, value in facts:
            click.echo(f"{label}\t{_text(value)}")
        return
    width = max(width_of(label) for label, _ in facts)
    for label, value in facts:
        click.echo(f"{pad(label, width)}  {_coloured(_shorter(_text(value)))}")


def note(text: str) -> None:
    """A line for people on standard error, which keeps standard output clean."""
    # If it cannot be written the command has still done its work, and the exit status says so.
    with suppress(OSError):
        click.echo(text, err=True)


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey or hide."""
    return _NOT_PLAIN.sub(lambda sign: _escape(sign[0]) if _obeyed(sign[0]) else sign[0], text)


def _obeyed(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _escape(sign: str) -> str:
    return f"\\x{ord(sign):02x}" if ord(sign) < 256 else f"\\u{ord(sign):04x}"


def _text(value: object) -> str:
    """A value as a cell. A missing one is a dash, because a shell's `read` would skip an empty field."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = [f"{key}={content}" for key, content in value.items()]
    if isinstance(value, list | tuple):
        value = " ".join(str(part) for part in value)
    return "-" if value is None or value == "" else printable(str(value))


def _shorter(cell: str) -> str:
    """Instants to the minute, as people read them."""
    return _INSTANT.sub(r"\1 \2Z", cell)


def _coloured(cell: str) -> str:
    colour = _COLOURS.get(cell.strip())
    return click.style(cell, fg=colour) if colour and _has_colour() else cell


def _bold(cell: str) -> str:
    return click.style(cell, bold=True) if _has_colour() else cell


def _has_colour() -> bool:
    # no-color.org: any value except an empty one.
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def watched() -> bool:
    """True if a person sees standard error."""
    return sys.stderr.isatty()


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Yields a function that shows a line in place of the last one. The line is erased at the end of the block."""
    seen = watched()

    def show(text: str) -> None:
        if seen:
            click.echo(f"{_CLEARED}{text}", nl=False, err=True)

    try:
        yield show
    finally:
        show("")
