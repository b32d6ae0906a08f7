"""Many tokens ended at once, by who created them, what they permit, their status, name or use, or all."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import click

from service.cli.client.http import Client, connect
from service.cli.client.references import TOKENS, find
from service.cli.failure import WrongUsage
from service.cli.terminal.options import Number, given, together
from service.cli.terminal.outcome import Result, counted, outcome, told_if_cut_off
from service.cli.terminal.progress import progress
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Report, said, table

_NAMED = 5
_CAN_END = frozenset({"active", "inactive", "expired"})
_FILTERS = "--created-by, --subject, --last-address, --scope, --status, --query, --unused-for and --never-used"


class Ending(NamedTuple):
    """What is done to tokens: the end of the path, the question's last word, the word for it when done, and to whom."""

    path: str
    question: str
    done: str
    states: frozenset[str]


REVOKE = Ending("revoke", " for good?", "revoked", _CAN_END)
DEACTIVATE = Ending("deactivate", "?", "deactivated", frozenset({"active"}))
# A command takes those that find tokens as **options, which `which` reads.
filters = together(
    click.option("--created-by", "createdBy", help="Those that this account created."),
    click.option("--subject", help="Those that speak for this subject."),
    click.option("--last-address", "lastAddress", help="Those used last from this address."),
    click.option("--scope", help="Those with this scope, as it is written."),
    click.option("--status", help="Those that are active, inactive or expired (comma separated)."),
    click.option("--query", "q", help="Those with this in the name, or at the end of the token."),
    click.option(
        "--unused-for", "unusedForDays", type=Number(0), metavar="DAYS", help="Those unused for so many days."
    ),
    click.option("--never-used", "neverUsed", is_flag=True, help="Those without any use so far."),
    click.option("--all", "everything", is_flag=True, help="All tokens."),
    click.option(
        "--dry-run", is_flag=True, help="Change nothing: say how many, and show the first ten, or all that are named."
    ),
    yes_option,
)


def which(tokens: tuple[str, ...], filters: dict[str, Any], *, everything: bool) -> dict[str, Any] | None:
    """The members of a request that say which tokens; None where they are named one by one.

    Raises WrongUsage, also for an empty value: it comes from an empty variable, and would match every token.
    """
    wanted = given(filters)
    if bool(tokens) + bool(wanted) + everything != 1:
        raise WrongUsage(f"give ids or names, or {_FILTERS}, or --all")
    if "" in {str(value).strip() for value in wanted.values()}:
        raise WrongUsage("an empty value matches every token: if you want that, say --all")
    if "status" in wanted and not set(wanted["status"].split(",")) <= _CAN_END:
        raise WrongUsage(f"--status: choose from {', '.join(sorted(_CAN_END))}")
    if tokens:
        return None
    return {"all": True} if everything else {"filter": wanted}


def end(ending: Ending, wanted: dict[str, Any], *, dry_run: bool, yes: bool) -> Report:
    """End what matches, after a question with the number; or show what that would be. Raises Failure."""
    client = connect()
    path = f"{TOKENS}/{ending.path}"
    found = client.send("POST", path, {**wanted, "dryRun": True})
    if dry_run:
        return _trial(found, ending)
    count = found["matched"]
    if not count:
        return Report(Result(updated=[], skipped=[]), said("No token matches."))
    names = ", ".join(f"{token['name']} ({token['id']})" for token in found["sample"][:_NAMED])
    among = f"{'among them ' if count > _NAMED else ''}{names}"
    confirm(f"{ending.path.capitalize()} {counted(count)}, {among}{ending.question}", yes=yes)
    return outcome(_end_all(client, path, wanted, count, ending.done), ending.done)


def trial_of_named(ending: Ending, tokens: Iterable[str]) -> Report:
    """What would be done to tokens that are named: nothing to one that is so already. Raises Failure."""
    client = connect()
    found = {token["id"]: token for token in (find(client, reference) for reference in tokens)}
    sample = [token for token in found.values() if token["status"] in ending.states]
    return _trial({"matched": len(sample), "sample": sample}, ending)


def _trial(found: dict[str, Any], ending: Ending) -> Report:
    rows = [[token[name] for name in ("id", "name", "status", "createdBy", "scopes")] for token in found["sample"]]
    more = found["matched"] - len(rows)
    unseen = f"; {more:,} more than are shown" if more > 0 else ""
    return Report(
        found,
        table(("ID", "NAME", "STATUS", "CREATED BY", "SCOPES"), rows, optional=1),
        said(f"{counted(found['matched'])} would be {ending.done}{unseen}."),
    )


def _end_all(client: Client, path: str, wanted: dict[str, Any], count: int, done: str) -> Result:
    """Slice by slice; what was done before a failure, or before somebody stopped it, is said."""
    updated: list[str] = []
    skipped: list[dict[str, str]] = []
    # The number that was agreed to: if it is another by now, the service ends none of them.
    where: dict[str, Any] = {"expected": count}
    with told_if_cut_off(updated, count, done), progress() as show:
        while where:
            show(f"{len(updated):,} of {count:,} {done}")
            answer = client.send("POST", path, {**wanted, **where})
            updated += answer["updated"]
            skipped += answer["skipped"]
            where = {"cursor": answer["nextCursor"]} if answer["nextCursor"] else {}
    return {"updated": updated, "skipped": skipped}
