"""How a failed command ends: one line on standard error, JSON with --json, and an exit code for scripts.

0 done, 1 failed, 2 usage, 3 token refused, 4 sign-in needed; what a signal stops ends by that signal.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any, NoReturn, TextIO

import click


class Failure(click.ClickException):
    """Ends the command; the message is one line that says what to do.

    `problem` is the service's own refusal (RFC 9457); `code` is the word for an error without one.
    """

    exit_code = 1
    code = "failed"
    prefix = "token-service: "

    def __init__(self, message: str, *, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.problem = problem or {}

    def show(self, file: IO[Any] | None = None) -> None:
        # If it cannot be written, the exit status still says it.
        with suppress(OSError):
            click.echo(f"{self.prefix}{self.message}", file=file, err=file is None)


class WrongUsage(Failure):
    """The command cannot be run in this way."""

    exit_code = 2
    code = "wrong_usage"


class NoAnswer(Failure):
    """The service was not reached, or the connection broke: the request may have been done all the same."""

    code = "no_answer"


class NotFound(Failure):
    """There is no such token, with the same code as the service's 404."""

    code = "not_found"


class TokenRefused(Failure):
    """The service does not accept the token to be verified."""

    exit_code = 3
    code = "token_refused"


class SignInNeeded(Failure):
    """The service does not know the caller."""

    exit_code = 4
    code = "sign_in_needed"


class Aborted(Failure):
    """Somebody stopped the command, or answered no."""

    code = "aborted"
    prefix = ""


@contextmanager
def failing(kind: type[Exception], what: str = "", hint: str = "") -> Iterator[None]:
    """Turns an error of this kind into a Failure: what could not be done, the error's reason, and what to do."""
    try:
        yield
    except kind as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Failure(f"{what}{': ' if what else ''}{why}{hint}") from None


def end(error: BaseException, *, as_json: bool) -> NoReturn:
    """Print what went wrong, after any notes about it, and exit with its code."""
    # click's exception for a signal has the original one as its cause.
    notes = [note for one in (error.__cause__, error) for note in getattr(one, "__notes__", ())]
    failure = error if isinstance(error, click.ClickException) else Aborted("Aborted!")
    if as_json:
        with suppress(OSError):
            click.echo(_in_json(failure, notes), err=True)
    else:
        for note in notes:
            with suppress(OSError):
                click.echo(note, err=True)
        failure.show()
    sys.exit(failure.exit_code)


def _in_json(failure: click.ClickException, notes: list[str]) -> str:
    """A problem in the service's form, with `notes`, and without a `status` if the service did not answer."""
    # An error that click finds itself is wrong usage, or a file that cannot be read.
    code = getattr(failure, "code", "wrong_usage" if failure.exit_code == WrongUsage.exit_code else "failed")
    problem = getattr(failure, "problem", {})
    said = {"type": "about:blank", "title": code.replace("_", " ").capitalize(), "code": code, **problem}
    said |= {"detail": failure.format_message()} | ({"notes": notes} if notes else {})
    # As ASCII, where DEL is the only character that a terminal would obey.
    return json.dumps(said).replace("\x7f", "\\u007f")


def empty(stream: TextIO) -> None:
    """Write what is left in the buffer, or drop it: at the end of the process it would cause a traceback."""
    try:
        stream.flush()
    except OSError:
        # What the interpreter writes at its end now goes to the null device, and cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
