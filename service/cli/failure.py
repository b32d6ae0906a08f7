"""How a command ends when it does not succeed: one line on standard error and a code for scripts.

0 done, 1 failed, 2 usage, 3 token refused, 4 sign-in needed.
"""

import os
from contextlib import suppress
from typing import IO, Any, TextIO

import click


class Failure(click.ClickException):
    """Ends the command; the message is one line that says what to do."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        # Where it cannot be written, the exit status still says it.
        with suppress(OSError):
            click.echo(f"token-service: {self.message}", file=file, err=file is None)


class WrongUsage(Failure):
    """The command cannot be run like this."""

    exit_code = 2


class NoAnswer(Failure):
    """The service was not reached, or the connection broke: what was asked for may have been done."""


class TokenRefused(Failure):
    """The service does not accept the token that was to be verified."""

    exit_code = 3


class SignInNeeded(Failure):
    """The service does not know who asks."""

    exit_code = 4


def empty(stream: TextIO) -> None:
    """Write what is left in the buffer, or let it go: at the end of the process it would fail with a traceback."""
    try:
        stream.flush()
    except OSError:
        # What the interpreter writes out at its end goes there, and cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
