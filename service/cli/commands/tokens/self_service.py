"""Commands that the holder of a managed token may run with the token alone: `self` and `end-derived`."""

import click

from service.cli.client.answers import Message, Token
from service.cli.client.http import connect
from service.cli.client.references import SELF, path_of, token_id_of
from service.cli.commands.tokens.issue import holder, rotated, rotation_options, with_secret
from service.cli.commands.tokens.show import described
from service.cli.commands.tokens.states import outcome
from service.cli.terminal.options import filled
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Report, ReportCommand, ReportGroup, facts


@click.group("self", cls=ReportGroup)
def own_token() -> None:
    """Show, revoke or rotate the token in TOKENS_TOKEN.

    Needs no account, and spends no use of the token.
    """


@own_token.command("show")
def show_self() -> Report:
    """Show the token in TOKENS_TOKEN."""
    found = holder().get(SELF, Token)
    return Report(found, facts(described(found)))


@own_token.command("revoke")
@yes_option
def revoke_self(yes: bool) -> Report:
    """Revoke the token in TOKENS_TOKEN for good."""
    client = holder()
    # Read before the end, because a revoked token cannot read its name.
    found = client.get(SELF, Token)
    confirm(f"Revoke {found['name']} ({found['id']}) for good?", yes=yes)
    client.send("DELETE", SELF, Message)
    return outcome({"updated": [found["id"]], "skipped": []}, "revoked")


@own_token.command("rotate")
@rotation_options
def rotate_self(overlap: int | None, yes: bool, quiet: bool) -> Report:
    """Give the token in TOKENS_TOKEN a new secret.

    Needs the scope self:rotate.
    """
    issued = rotated(holder(), f"{SELF}/rotate", overlap, called="the token", yes=yes)
    return with_secret(issued, quiet=quiet)


@click.command("end-derived", cls=ReportCommand)
@click.argument("parent", metavar="[ID|NAME]", required=False, callback=filled)
@click.option("--id", "token_id", metavar="ID", callback=filled, help="This one alone.")
@yes_option
def end_derived(parent: str | None, token_id: str | None, yes: bool) -> Report:
    """End the tokens derived from a token.

    Derived from the one in TOKENS_TOKEN, unless one is named. They and all tokens derived from them end for good; the
    token itself stays.
    """
    client = connect() if parent else holder()
    path = path_of(token_id_of(client, parent), "/derived") if parent else f"{SELF}/derived"
    confirm(f"End {token_id or 'all'} derived from {parent or 'the token in TOKENS_TOKEN'}?", yes=yes)
    answer = client.send("DELETE", path, Message, query={"id": token_id} if token_id else {})
    return Report(answer, facts([("done", answer["message"])]))
