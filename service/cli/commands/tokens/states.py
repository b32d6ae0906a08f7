"""Commands that decide whether tokens are accepted: activate, deactivate, revoke."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import click

from service.cli.client.answers import Changed, Item, Matched, Slice, Token
from service.cli.client.http import Client, connect, patiently
from service.cli.client.references import TOKENS, find, token_id_of
from service.cli.commands.tokens.show import filters
from service.cli.failure import Failure, NoAnswer, WrongUsage
from service.cli.terminal.options import given, together
from service.cli.terminal.output import on_terminal, progress
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Part, Report, ReportCommand, said, table

# A change takes a thousand ids; a revocation has them in its URL, whose length is limited.
_CHANGED_AT_ONCE = 1000
_REVOKED_AT_ONCE = 200
_NAMED = 5
_CAN_END = frozenset({"active", "inactive", "expired"})
_FILTERS = "--created-by, --subject, --last-address, --scope, --status, --query, --unused-for and --never-used"
# How many rows a person gets; a pipe gets all.
_MOST_ROWS = 50
_REASONS = {"not_found": "does not exist", "token_revoked": "is revoked for good", "token_expired": "has expired"}


class _Ending(NamedTuple):
    """How tokens are ended: the path's end, the question's end, the participle, and the states it ends."""

    path: str
    question: str
    done: str
    states: frozenset[str]


_REVOKE = _Ending("revoke", " for good?", "revoked", _CAN_END)
_DEACTIVATE = _Ending("deactivate", "?", "deactivated", frozenset({"active"}))
# A command passes the options that find tokens as **options, which `_wanted` reads.
_which = together(
    filters,
    click.option("--status", help="active, inactive or expired (comma separated)."),
    click.option("--all", "everything", is_flag=True, help="All tokens."),
    click.option(
        "--dry-run", is_flag=True, help="Change nothing: say how many, and show the first ten, or all that are named."
    ),
    yes_option,
)


@click.command(cls=ReportCommand)
@click.argument("tokens", metavar="ID|NAME...", nargs=-1, required=True)
def activate(tokens: tuple[str, ...]) -> Report:
    """Let tokens be accepted again."""
    return _set_active(connect(), tokens, "activated", active=True)


@click.command(cls=ReportCommand)
@click.argument("tokens", metavar="[ID|NAME...]", nargs=-1)
@_which
def deactivate(tokens: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, **options: Any) -> Report:
    """Refuse tokens until they are activated.

    Those that are named, or all active ones that match all the options, after a question. With options it waits, for
    at most two minutes, if the service asks to retry later.
    """
    wanted = _wanted(tokens, options, everything=everything)
    if wanted or dry_run:
        return _end_wanted(_DEACTIVATE, tokens, wanted, dry_run=dry_run, yes=yes)
    return _set_active(connect(), tokens, "deactivated", active=False)


@click.command(cls=ReportCommand)
@click.argument("tokens", metavar="[ID|NAME...]", nargs=-1)
@_which
def revoke(tokens: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, **options: Any) -> Report:
    """Revoke tokens for good.

    Those that are named, or all that match all the options. They are refused from the moment this returns, and cannot
    be activated again. With options it waits, for at most two minutes, if the service asks to retry later.
    """
    wanted = _wanted(tokens, options, everything=everything)
    if wanted or dry_run:
        return _end_wanted(_REVOKE, tokens, wanted, dry_run=dry_run, yes=yes)
    client = connect()
    # Without a question nobody reads the names, and ids need no request.
    if yes:
        ids = [token_id_of(client, reference) for reference in tokens]
    else:
        found = [find(client, reference) for reference in tokens]
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        confirm(f"Revoke {_names(found)}{more} for good?", yes=False)
        ids = [token["id"] for token in found]

    def change(part: list[str]) -> Changed:
        return client.send("DELETE", TOKENS, Changed, query={"ids": ",".join(part)})

    return _in_parts(ids, _REVOKED_AT_ONCE, change, "revoked")


def _set_active(client: Client, references: Iterable[str], done: str, *, active: bool) -> Report:
    def change(part: list[str]) -> Changed:
        return client.send("PATCH", TOKENS, Changed, {"ids": part, "isActive": active})

    return _in_parts([token_id_of(client, reference) for reference in references], _CHANGED_AT_ONCE, change, done)


def _in_parts(ids: Sequence[str], size: int, change: Callable[[list[str]], Changed], done: str) -> Report:
    unique = list(dict.fromkeys(ids))
    result: Changed = {"updated": [], "skipped": []}
    # One request is atomic, and a lost answer is reported by itself.
    with _told_if_cut_off(result["updated"], len(unique), done) if len(unique) > size else nullcontext():
        for start in range(0, len(unique), size):
            answer = change(unique[start : start + size])
            result["updated"] += answer["updated"]
            result["skipped"] += answer["skipped"]
    return outcome(result, done)


def _wanted(tokens: tuple[str, ...], options: dict[str, Any], *, everything: bool) -> dict[str, Any]:
    """The members of a request that say which tokens; empty if they are named one by one.

    Raises WrongUsage, also for an empty value: it comes from an unset variable, and would match every token.
    """
    wanted = given(options)
    if bool(tokens) + bool(wanted) + everything != 1:
        raise WrongUsage(f"give ids or names, or {_FILTERS}, or --all")
    if "" in {str(value).strip() for value in wanted.values()}:
        raise WrongUsage("an empty value matches every token: if you want that, say --all")
    if "status" in wanted and not set(wanted["status"].split(",")) <= _CAN_END:
        raise WrongUsage(f"--status: choose from {', '.join(sorted(_CAN_END))}")
    return {"all": True} if everything else {"filter": wanted} if wanted else {}


def _end_wanted(
    ending: _Ending, tokens: tuple[str, ...], wanted: dict[str, Any], *, dry_run: bool, yes: bool
) -> Report:
    """End what matches, after a question with the number; or show what would be ended, also for named tokens."""
    client, path = connect(), f"{TOKENS}/{ending.path}"
    if not wanted:
        named = {token["id"]: token for token in (find(client, reference) for reference in tokens)}
        # A token in the wanted state already would not change.
        sample = [token for token in named.values() if token["status"] in ending.states]
        return _trial({"matched": len(sample), "sample": sample}, ending)
    found = client.send("POST", path, Matched, {**wanted, "dryRun": True})
    if dry_run:
        return _trial(found, ending)
    count = found["matched"]
    if not count:
        return Report(Changed(updated=[], skipped=[]), said("No token matches."))
    among = f"{'among them ' if count > _NAMED else ''}{_names(found['sample'])}"
    confirm(f"{ending.path.capitalize()} {_counted(count)}, {among}{ending.question}", yes=yes)
    return outcome(_end_all(client, path, wanted, count, ending.done), ending.done)


def _names(tokens: Sequence[Token]) -> str:
    return ", ".join(f"{token['name']} ({token['id']})" for token in tokens[:_NAMED])


def _trial(found: Matched, ending: _Ending) -> Report:
    rows = [
        (token["id"], token["name"], token["status"], token["createdBy"], token["scopes"]) for token in found["sample"]
    ]
    more = found["matched"] - len(rows)
    unseen = f"; {more:,} more than are shown" if more > 0 else ""
    return Report(
        found,
        table(("ID", "NAME", "STATUS", "CREATED BY", "SCOPES"), rows, optional=1),
        said(f"{_counted(found['matched'])} would be {ending.done}{unseen}."),
    )


def _end_all(client: Client, path: str, wanted: dict[str, Any], count: int, done: str) -> Changed:
    """Work slice by slice. Says what was done before a failure, or before somebody stops the command."""
    updated: list[str] = []
    skipped: list[Item] = []
    # The number that was agreed to: if it has changed, the service ends none of them.
    where: dict[str, Any] = {"expected": count}
    with _told_if_cut_off(updated, count, done), progress() as show:

        def tell(why: str = "") -> None:
            show(f"{len(updated):,} of {count:,} {done}{why and '; '}{why}")

        while where:
            tell()
            # It waits, because bulk revocation should not stop at the first moment of a failover. A repeated slice does
            # no harm.
            asked = partial(client.ask, "POST", path, body={**wanted, **where})
            answer = client.members(patiently(asked, tell), Slice)
            updated += answer["updated"]
            skipped += answer["skipped"]
            where = {"cursor": answer["nextCursor"]} if answer["nextCursor"] else {}
    return {"updated": updated, "skipped": skipped}


def outcome(result: Changed, done: str) -> Report:
    """What was done; a Failure if any token was left as it was."""
    updated, skipped = result["updated"], result["skipped"]
    if on_terminal() and len(updated) > _MOST_ROWS:
        shown: Part | None = said(f"{len(updated):,} tokens {done}.")
    else:
        shown = table(("ID", "DONE"), [(token_id, done) for token_id in updated])
    why = [said(f"{one['id']} {_REASONS.get(one['code'], one['code'])}") for one in skipped]
    return Report(result, shown, *why, failure=Failure(f"{len(skipped)} not {done}") if skipped else None)


@contextmanager
def _told_if_cut_off(updated: Sequence[str], count: int, done: str) -> Iterator[None]:
    """Says how many were done before a failure, or before somebody stopped the command."""
    try:
        yield
    except (Failure, KeyboardInterrupt) as reason:
        if updated or not isinstance(reason, Failure) or isinstance(reason, NoAnswer):
            # Nobody knows about the part whose answer was lost.
            reason.add_note(f"At least {_counted(len(updated))} {done} of {count:,}; then:")
        raise


def _counted(tokens: int) -> str:
    return f"{tokens:,} {'token' if tokens == 1 else 'tokens'}"
