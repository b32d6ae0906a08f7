"""The result of a command: a value, which --json prints, and text for a person."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from service.cli.failure import Failure, WrongUsage
from service.cli.terminal.output import note, on_terminal, print_facts, print_json, print_table

Part = Callable[[], None]
_PENDING = "pending"


class Report:
    """Printed when the command is done; then `failure` ends it, if there is one. Empty parts are ignored.

    The value may itself be a part, which prints JSON piece by piece. `unread` says what to do about a secret that is
    shown only once, if it cannot be printed.
    """

    def __init__(self, value: Any, *parts: Part | None, failure: BaseException | None = None, unread: str = "") -> None:
        self._value = value
        self._parts = parts
        self._failure = failure
        self._unread = unread

    def give(self, *, as_json: bool, pending: str = "") -> None:
        """Print the report. Raises its failure, or one that says what to do about a secret that could not be printed.

        `pending` is why a change is not confirmed yet; a command that makes changes has an object as its value.
        """
        value = {**self._value, _PENDING: pending} if pending else self._value
        told = value if callable(value) else partial(print_json, value)
        parts = (partial(note, _in_force(pending)) if pending else None, *self._parts)
        # Before the failure, because the JSON has that too.
        try:
            for part in (told,) if as_json else filter(None, parts):
                part()
        except OSError as error:
            if not self._unread:
                raise
            raise Failure(f"nobody has the secret, it cannot be printed ({error.strerror}): {self._unread}") from None
        if self._failure is not None:
            raise self._failure


class ReportCommand(click.Command):
    """Prints the Report that its function returns, nothing for None. Its last option is --json."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # Eager, so that `csv_alone` can read it.
        self.params.append(click.Option(["--json", "as_json"], is_flag=True, is_eager=True, help="Print JSON."))

    def invoke(self, ctx: click.Context) -> None:
        as_json = ctx.params.pop("as_json")
        try:
            report = super().invoke(ctx)
        except BaseException as reason:
            if pending := ctx.meta.get(_PENDING):
                # First, because the notes after it lead to the reason.
                reason.__notes__ = [_in_force(pending), *getattr(reason, "__notes__", ())]
            raise
        if report is not None:
            report.give(as_json=as_json, pending=ctx.meta.get(_PENDING, ""))


def unconfirmed(reason: str) -> None:
    """Note that the running command has made a change that is in force but not confirmed; its report says so."""
    click.get_current_context().meta[_PENDING] = reason


def _in_force(pending: str) -> str:
    return f"in force, and not confirmed yet: {pending}"


def csv_alone(ctx: click.Context, _: click.Parameter, value: Any) -> Any:
    """The value of an option that asks for CSV. Raises WrongUsage if JSON is asked for too."""
    if value in (True, "csv") and ctx.params["as_json"]:
        raise WrongUsage("this prints either CSV or JSON: choose one of them")
    return value


class ReportGroup(click.Group):
    command_class = ReportCommand


def table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, optional: int | None = None, none: str = ""
) -> Part | None:
    """As `print_table`; without rows a person reads `none`."""
    if rows:
        return partial(print_table, headings, rows, optional=optional)
    return partial(note, none) if none and on_terminal() else None


def facts(labelled: Sequence[tuple[str, object]]) -> Part:
    return partial(print_facts, labelled)


def line(text: str) -> Part:
    return partial(click.echo, text)


def said(text: str) -> Part:
    """A line for people, on standard error."""
    return partial(note, text)
