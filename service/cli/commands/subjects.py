"""`subjects`: limits that all tokens of a subject share."""

from collections.abc import Sequence
from typing import Any

import click

from service.cli.client.answers import Message, SubjectLimits, SubjectPage
from service.cli.client.http import connect
from service.cli.commands.tokens.issue import rate_option
from service.cli.commands.tokens.show import rate_in_words
from service.cli.failure import WrongUsage
from service.cli.terminal.options import filled, given, page_option
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Part, Report, ReportGroup, said, table

_PATH = "/api/admin/subject-limits"


@click.group(cls=ReportGroup)
def subjects() -> None:
    """Set and show the limits that all tokens of a subject share."""


@subjects.command("list")
@click.argument("subject", required=False, callback=filled)
@page_option
def list_subjects(subject: str | None, limit: int) -> Report:
    """List subjects with limits, and what is left of the limits."""
    answer = connect().get(_PATH, SubjectPage, {"subject": subject} if subject else {"limit": limit})
    more = said("There are more: --limit.") if answer["nextCursor"] else None
    return Report(answer, _table(answer["subjects"]), more)


@subjects.command("limit")
@click.argument("subject", callback=filled)
@rate_option
def limit_subject(subject: str, **options: Any) -> Report:
    """Replace the limits of a subject.

    As in: token-service subjects limit acme --rate month=100000/month@1@Europe/Berlin
    """
    limits = given(options)
    if not limits:
        raise WrongUsage("give at least one --rate")
    answer = connect().send("PUT", _PATH, SubjectLimits, {"subject": subject, **limits})
    return Report(answer, _table([answer]))


@subjects.command("unlimit")
@click.argument("subject", callback=filled)
@yes_option
def unlimit_subject(subject: str, yes: bool) -> Report:
    """Remove the limits of a subject. Its tokens keep their own."""
    confirm(f"Remove the limits of {subject}?", yes=yes)
    answer = connect().send("DELETE", _PATH, Message, query={"subject": subject})
    return Report(answer, said(answer["message"]))


def _table(shown: Sequence[SubjectLimits]) -> Part | None:
    rows = [(one["subject"], "; ".join(map(rate_in_words, one["limits"]))) for one in shown]
    return table(("SUBJECT", "LIMITS"), rows, none="No subject has limits.")
