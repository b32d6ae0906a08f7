"""How far a long command has come, on a terminal's standard error alone."""

from __future__ import annotations

import sys
from types import TracebackType

import click


def watched() -> bool:
    """Does a person see standard error?"""
    return sys.stderr.isatty()


class Progress:
    """One line that is written over, and gone at the end of the block."""

    def __init__(self) -> None:
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def show(self, text: str) -> None:
        """Put the line there, or in the place of the last one."""
        if watched():
            self._shown = True
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)
