"""Commands that read tokens: list, show, stats, usage."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import click

from service.cli.client.answers import Counts, HygieneCounts, ServiceUsage, Token, TokenPage, TokenUsage
from service.cli.client.http import connect
from service.cli.client.references import SECRET, TOKENS, every, find, path_of, token_id_of
from service.cli.failure import WrongUsage
from service.cli.terminal.options import Number, filled, given, together, was_given
from service.cli.terminal.output import note, on_terminal, print_csv, print_json_list, print_table
from service.cli.terminal.report import Report, ReportCommand, csv_alone, facts, said, table

_SORTS = ("createdAt", "name", "lastUsedAt", "expiresAt")
# Shown before the end of a secret: eight characters, for some imported ones fewer or none.
_MASK = "****-****-****-"
_HEADINGS = ("ID", "NAME", "TOKEN", "STATUS", "EXPIRES", "LAST USED", "CREATED BY", "SCOPES")
_FACTS = {
    "id": "id",
    "name": "name",
    "token": "token",
    "status": "status",
    "description": "description",
    "subject": "subject",
    "scopes": "scopes",
    "createdAt": "created",
    "createdBy": "created by",
    "expiresAt": "expires",
    "lastUsedAt": "last used",
    "limits": "rate limits",
    "subjectLimits": "shared limits",
    "allowedNetworks": "networks",
    "maxUses": "uses allowed",
    "usesLeft": "uses left",
    "metadata": "metadata",
    "rotatedAt": "rotated",
    "oldSecretValidUntil": "old secret until",
    "parentId": "derived from",
    "derived": "derived tokens",
}
_COLUMNS = (
    "id",
    "name",
    "token",
    "status",
    "subject",
    "scopes",
    "createdAt",
    "createdBy",
    "expiresAt",
    "lastUsedAt",
    "description",
)
_COUNTS = {
    "total": "total",
    "active": "active",
    "expired": "expired",
    "inactive": "inactive",
    "revoked": "revoked",
    "expiring14d": "expire in 14 days",
    "oneTimeOutstanding": "one-time tokens",
    "sessions": "sessions",
}


def _end_of_secret(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    return text[-8:] if text and SECRET.match(text) else text


# Filters of the list, and of commands that act on all matching tokens.
filters = together(
    click.option(
        "--query", "q", callback=_end_of_secret, help="Part of the name, or the last characters of the token."
    ),
    click.option("--created-by", "createdBy", help="Account that created it."),
    click.option("--scope", help="One of its scopes, as it is written."),
    click.option("--subject", help="Whom it speaks for."),
    click.option("--last-address", "lastAddress", help="Where it was used last."),
    click.option("--unused-for", "unusedForDays", type=Number(0), metavar="DAYS", help="Not used for so many days."),
    click.option("--never-used", "neverUsed", is_flag=True, help="Without any use so far."),
)


@click.command("list", cls=ReportCommand)
@click.option("--status", help="active, inactive, expired, revoked (comma separated), or all; without: not revoked.")
@filters
@click.option("--expires-before", "expiresBefore", metavar="INSTANT", help="An instant like 2027-01-31T00:00:00Z.")
@click.option(
    "--parent",
    metavar="ID|NAME",
    callback=filled,
    help="List the tokens derived from this one instead; no other list has them.",
)
@click.option(
    "--sort",
    type=click.Choice([*_SORTS, *(f"-{name}" for name in _SORTS)]),
    metavar="COLUMN",
    default="-createdAt",
    show_default=True,
    help=f"{', '.join(_SORTS)}; - for descending.",
)
@click.option("--limit", type=Number(1), default=50, show_default=True, help="How many.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--csv", "as_csv", is_flag=True, callback=csv_alone, help="Print CSV with a heading.")
def list_tokens(limit: int, everything: bool, as_csv: bool, **filters: Any) -> Report | None:
    """List tokens.

    Newest first unless sorted otherwise; without --status all except revoked tokens.
    """
    if everything and was_given("limit"):
        raise WrongUsage("give --limit or --all; all of every status is --all --status all")
    client = connect()
    if parent := filters["parent"]:
        filters["parent"] = token_id_of(client, parent)
    pages = every(client, TOKENS, TokenPage, given(filters), limit=None if everything else limit)
    # Sorted by creation no token changes its place, so a million ids need not be remembered.
    if not filters["sort"].endswith("createdAt"):
        pages = _once(pages)
    # The first page is read before anything is printed, so that a refused command prints nothing.
    first = next(pages)
    pages = chain([first], pages)
    tokens = (page["tokens"] for page in pages)
    if as_csv:
        print_csv(_COLUMNS, ([[token.get(name) for name in _COLUMNS] for token in part] for part in tokens))
        return None
    total = first["total"]
    return Report(partial(print_json_list, "tokens", tokens, {"total": total}), partial(_print_list, pages, total))


def _once(pages: Iterable[TokenPage]) -> Iterator[TokenPage]:
    """The pages without tokens of earlier pages: a use or an end between two pages may move a token."""
    listed: set[str] = set()
    for page in pages:
        page["tokens"] = [token for token in page["tokens"] if token["id"] not in listed]
        listed.update(token["id"] for token in page["tokens"])
        yield page


def _print_list(pages: Iterable[TokenPage], total: int | None) -> None:
    # On a terminal a column is as wide as its widest cell, which is known only at the end.
    known: list[TokenPage] = []
    for page in pages:
        if on_terminal():
            known.append(page)
        else:
            print_table(_HEADINGS, [_row(token) for token in page["tokens"]])
    if known:
        rows = [_row(token) for page in known for token in page["tokens"]]
        if rows:
            print_table(_HEADINGS, rows, optional=2)
        _say_how_many(len(rows), total, more=known[-1]["nextCursor"] is not None)


@click.command(cls=ReportCommand)
@click.argument("token", metavar="ID|NAME")
def show(token: str) -> Report:
    """Show a token."""
    found = find(connect(), token)
    return Report(found, facts(described(found)))


@click.command(cls=ReportCommand)
@click.option("--hygiene", is_flag=True, help="Also count tokens that seem unneeded, and expiries.")
def stats(hygiene: bool) -> Report:
    """Count tokens.

    Total = active + expired + inactive; revoked tokens are not included.
    """
    client = connect()
    counts = client.get(f"{TOKENS}/stats", Counts)
    found = client.get(f"{TOKENS}/hygiene", HygieneCounts) if hygiene else None
    rows = [(label, counts.get(name)) for name, label in _COUNTS.items()]
    if found is None:
        return Report(counts, facts(rows))
    return Report({**counts, "hygiene": found}, facts([*rows, *_hygiene_rows(found)]))


def _hygiene_rows(found: HygieneCounts) -> list[tuple[str, Any]]:
    """Rows about unneeded tokens. A window is a number of days in the API's form, like 90d."""
    return [
        *((f"unused for {window[:-1]} days", count) for window, count in found["idle"].items()),
        ("never used", found["neverUsed"]),
        ("never expire", found["neverExpire"]),
        *((f"expired in {window[:-1]} days", count) for window, count in found["expired"].items()),
    ]


@click.command(cls=ReportCommand)
@click.argument("token", metavar="[ID|NAME]", required=False, callback=filled)
@click.option("--days", type=Number(1), default=30, show_default=True, help="How many days back, for one token.")
@click.option("--service", "of_service", is_flag=True, help="All tokens together, hour by hour.")
@click.option("--hours", type=Number(1), default=48, show_default=True, help="How many hours back, with --service.")
def usage(token: str | None, days: int, of_service: bool, hours: int) -> Report:
    """Show how often a token was used."""
    if of_service == bool(token):
        raise WrongUsage("give a token, or --service for all of them together")
    if was_given("days" if of_service else "hours"):
        raise WrongUsage("--days is for one token, --hours for --service")
    client = connect()
    if not token:
        totals = client.get("/api/admin/usage", ServiceUsage, {"hours": hours})
        by_hour = [
            (one["hour"], one["allowed"], one["denied"], [f"{why} {count}" for why, count in one["reasons"].items()])
            for one in totals["hours"]
        ]
        return Report(totals, table(("HOUR", "ALLOWED", "DENIED", "WHY"), by_hour))
    counted = client.get(path_of(token_id_of(client, token), "/usage"), TokenUsage, {"days": days})
    rows = [(day["date"], day["allowed"], day["denied"]) for day in counted["days"]]
    last = f"Last used {counted['lastUsedAt']} from {counted['lastAddress'] or 'an unknown address'}."
    return Report(
        counted,
        table(("DAY (UTC)", "ALLOWED", "DENIED"), rows),
        said(last) if on_terminal() and counted["lastUsedAt"] else None,
    )


def described(token: Token) -> list[tuple[str, Any]]:
    """The facts about a token, the most important first, without empty members."""
    shown = {
        **token,
        "limits": [rate_in_words(limit) for limit in token.get("limits", [])],
        "subjectLimits": [rate_in_words(limit) for limit in token.get("subjectLimits", [])],
        # None instead of 0, which would add a line for nearly every token.
        "derived": token.get("derived") or None,
    }
    # 0 is kept, because it must be visible that a token has no uses left.
    return [(label, shown[name]) for name, label in _FACTS.items() if shown.get(name) not in (None, "", [], {})]


def _row(token: Token) -> tuple[object, ...]:
    expires, used, masked = token["expiresAt"] or "never", token["lastUsedAt"], token["token"]
    if on_terminal():
        # Eighty columns are few: dates without the time, and only the end of the secret.
        expires, used, masked = expires[:10], used and used[:10], f"…{masked.removeprefix(_MASK)}"
    return (token["id"], token["name"], masked, token["status"], expires, used, token["createdBy"], token["scopes"])


def rate_in_words(limit: dict[str, Any]) -> str:
    """In the form that `--rate` takes, with what is left now."""
    rate, calendar = f"{limit['name']}={limit['limit']}/", limit.get("calendar")
    if calendar:
        day = f"@{calendar['day']}" if calendar["unit"] == "month" else ""
        rate += f"{calendar['unit']}{day}@{calendar['timeZone']}"
    else:
        rate += f"{limit['periodSeconds']}s:{limit['burst']}"
    return f"{rate} ({limit['remaining']} left)"


def _say_how_many(shown: int, total: int | None, *, more: bool) -> None:
    if not shown:
        note("No tokens. `token-service create NAME` makes one." if total == 0 else "No token matches.")
    elif more:
        note(f"{shown:,} of {f'{total:,}' if total is not None else 'more'}; --all shows all of them.")
