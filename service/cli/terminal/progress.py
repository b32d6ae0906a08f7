"""How far a long command has come, on a terminal's standard error alone."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

# Back to the first column, and erase to the end of the line (ECMA-48).
_CLEARED = "\r\x1b[K"


def watched() -> bool:
    """Does a person see standard error?"""
    return sys.stderr.isatty()


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """What shows a line in the place of the last one; at the end of the block the line is gone, whatever ended it."""
    seen = watched()

    def show(text: str) -> None:
        if seen:
            click.echo(f"{_CLEARED}{text}", nl=False, err=True)

    try:
        yield show
    finally:
        show("")
