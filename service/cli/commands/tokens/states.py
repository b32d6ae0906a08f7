"""Commands that decide whether tokens are accepted: activate, deactivate, revoke."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import click

from service.cli.client.http import Client, connect
from service.cli.client.references import TOKENS, find, token_id_of
from service.cli.commands.tokens.bulk_revocation import DEACTIVATE, REVOKE, end, filters, trial_of_named, which
from service.cli.terminal.outcome import Result, outcome, told_if_cut_off
from service.cli.terminal.prompts import confirm
from service.cli.terminal.report import Report, json_option

# A thousand ids are what a change takes; a revocation has them in its URL, whose length is bounded.
_CHANGED_AT_ONCE = 1000
_REVOKED_AT_ONCE = 200
_NAMED = 5


@click.command()
@click.argument("tokens", metavar="ID|NAME...", nargs=-1, required=True)
@json_option
def activate(tokens: tuple[str, ...]) -> Report:
    """Let tokens be accepted again."""
    return _set_active(connect(), tokens, "activated", active=True)


@click.command()
@click.argument("tokens", metavar="[ID|NAME...]", nargs=-1)
@filters
@json_option
def deactivate(tokens: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, **options: Any) -> Report:
    """Refuse tokens until they are activated.

    Those that are named, or all active ones that the options find together, after a question.
    """
    wanted = which(tokens, options, everything=everything)
    if wanted is not None:
        return end(DEACTIVATE, wanted, dry_run=dry_run, yes=yes)
    if dry_run:
        return trial_of_named(DEACTIVATE, tokens)
    return _set_active(connect(), tokens, "deactivated", active=False)


@click.command()
@click.argument("tokens", metavar="[ID|NAME...]", nargs=-1)
@filters
@json_option
def revoke(tokens: tuple[str, ...], everything: bool, dry_run: bool, yes: bool, **options: Any) -> Report:
    """Revoke tokens for good.

    Those that are named, or all that the options find together. They are refused from the moment this returns,
    and cannot be activated again.
    """
    wanted = which(tokens, options, everything=everything)
    if wanted is not None:
        return end(REVOKE, wanted, dry_run=dry_run, yes=yes)
    if dry_run:
        return trial_of_named(REVOKE, tokens)
    client = connect()
    # Without a question nobody reads the names, and an id alone costs no request.
    if yes:
        ids = [token_id_of(client, reference) for reference in tokens]
    else:
        found = [find(client, reference) for reference in tokens]
        names = ", ".join(f"{token['name']} ({token['id']})" for token in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        confirm(f"Revoke {names}{more} for good?", yes=False)
        ids = [token["id"] for token in found]

    def change(part: list[str]) -> dict[str, Any]:
        return client.send("DELETE", TOKENS, query={"ids": ",".join(part)})

    return _in_parts(ids, _REVOKED_AT_ONCE, change, "revoked")


def _set_active(client: Client, references: Iterable[str], done: str, *, active: bool) -> Report:
    def change(part: list[str]) -> dict[str, Any]:
        return client.send("PATCH", TOKENS, {"ids": part, "isActive": active})

    return _in_parts([token_id_of(client, reference) for reference in references], _CHANGED_AT_ONCE, change, done)


def _in_parts(ids: Sequence[str], size: int, change: Callable[[list[str]], dict[str, Any]], done: str) -> Report:
    unique = list(dict.fromkeys(ids))
    result: Result = {"updated": [], "skipped": []}
    # What goes in one request is done whole or not at all; an answer that was lost says so itself.
    with told_if_cut_off(result["updated"], len(unique), done) if len(unique) > size else nullcontext():
        for start in range(0, len(unique), size):
            answer = change(unique[start : start + size])
            result["updated"] += answer["updated"]
            result["skipped"] += answer["skipped"]
    return outcome(result, done)
