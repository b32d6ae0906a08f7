"""`audit`: the log of changes, newest first on the screen, complete as a stream, or verified."""

from typing import Any

import click

from service.cli.client.answers import AuditPage, Verification
from service.cli.client.http import LONG_READ_SECONDS, connect
from service.cli.client.references import every
from service.cli.failure import Failure, WrongUsage
from service.cli.terminal.options import Number, given, was_given
from service.cli.terminal.output import on_terminal
from service.cli.terminal.report import Report, ReportCommand, ReportGroup, csv_alone, said, table

_PATH = "/api/admin/audit"


class _AuditLog(ReportCommand, ReportGroup):
    """The list, which is also the group of commands about the whole log."""


@click.group(invoke_without_command=True, cls=_AuditLog)
@click.option("--actor", help="Who did it.")
@click.option("--action", help="What was done, like token.revoked.")
@click.option("--target", help="The id it was done to.")
@click.option("--from", "from", metavar="INSTANT", help="Since 2027-01-31T00:00:00Z.")
@click.option("--to", metavar="INSTANT", help="Until 2027-01-31T00:00:00Z.")
@click.option("--query", "q", help="Text in an entry.")
@click.option("--limit", type=Number(1), default=50, show_default=True, help="How many.")
@click.option(
    "--format", "form", type=click.Choice(["ndjson", "csv"]), callback=csv_alone, help="Write all entries in this form."
)
@click.pass_context
def audit(ctx: click.Context, /, limit: int, form: str | None, **filters: Any) -> Report | None:
    """List changes, or write all of them to a file.

    For a file: token-service audit --format ndjson > audit.ndjson
    """
    if ctx.invoked_subcommand is not None:
        if any(was_given(one.name or "") for one in ctx.command.params):
            raise WrongUsage(f"give no options before {ctx.invoked_subcommand}: it checks the whole log")
        return None
    if form is not None and was_given("limit"):
        raise WrongUsage("--format writes all entries: leave out --limit")
    query, client = given(filters), connect()
    if form is not None:
        for piece in client.stream(_PATH, {**query, "format": form}):
            click.echo(piece, nl=False)
        return None
    pages = list(every(client, _PATH, AuditPage, query, limit=limit))
    entries = [entry for page in pages for entry in page["entries"]]
    more = pages[-1]["nextCursor"] is not None
    names = ("actor", "target", "address", "channel", "requestId")
    rows = [
        [entry.get("at"), entry.get("action"), _times(entry.get("after") or {}), *(entry.get(name) for name in names)]
        for entry in entries
    ]
    return Report(
        {"entries": entries},
        table(
            ("AT", "ACTION", "TIMES", "ACTOR", "TARGET", "ADDRESS", "CHANNEL", "REQUEST"),
            rows,
            optional=3,
            none="No entry matches.",
        ),
        said("There are more: --limit, or --format for all.") if more and on_terminal() else None,
    )


@audit.command()
def verify() -> Report:
    """Verify that nobody changed the log.

    Exit 0 if it is intact, 1 if not; then the first hundred faults are listed.
    """
    # The service answers only after it has read the whole log.
    report = connect(read_seconds=LONG_READ_SECONDS).get(f"{_PATH}/verification", Verification)
    faults, entries = report["faults"], report["entries"]
    if not report["intact"]:
        named = table(("ENTRY", "FAULT"), [(fault["id"], fault["fault"]) for fault in faults])
        failure = Failure(
            f"the log is not intact: {len(faults)} faults named, {entries:,} entries (what a server key sealed that is "
            "no longer given counts as changed)"
        )
        return Report(report, named, failure=failure)
    return Report(
        report,
        said(f"{entries:,} entries, intact; {report['unsealed']:,} of them not sealed yet."),
        *(
            said(f"{kind}: {f'complete since {since}' if since else 'complete'}")
            for kind, since in report["completeSince"].items()
        ),
    )


def _times(after: dict[str, Any]) -> str:
    """How many refusals an entry stands for, and since when; empty for an ordinary entry."""
    # The time of day is enough, because such an entry covers at most a minute.
    return f"{after['count']} since {after['first'][11:19]}" if "first" in after else ""
