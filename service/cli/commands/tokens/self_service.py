"""`self`: what the holder of a managed token may do with it, by the token alone."""

import os

import click

from service.cli.client.http import Client, connect
from service.cli.commands.tokens.issue import with_secret
from service.cli.commands.tokens.rotation import rotated, rotation_options
from service.cli.commands.tokens.show import described
from service.cli.failure import SignInNeeded
from service.cli.terminal.outcome import outcome
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Report, facts, json_option

SELF = "/api/tokens/self"


@click.group("self")
def own_token() -> None:
    """Show, revoke or rotate the token in TOKENS_TOKEN.

    Needs no account, and spends no use of the token.
    """


@own_token.command("show")
@json_option
def show_self() -> Report:
    """Show the token in TOKENS_TOKEN."""
    found = holder().get(SELF)
    return Report(found, facts(described(found)))


@own_token.command("revoke")
@yes_option
@json_option
def revoke_self(yes: bool) -> Report:
    """Revoke the token in TOKENS_TOKEN for good."""
    client = holder()
    # Asked before the end: a revoked token can no longer say what it is called.
    found = client.get(SELF)
    confirm(f"Revoke {found['name']} ({found['id']}) for good?", yes=yes)
    client.send("DELETE", SELF)
    return outcome({"updated": [found["id"]], "skipped": []}, "revoked")


@own_token.command("rotate")
@rotation_options
@json_option
def rotate_self(overlap: int | None, yes: bool, quiet: bool) -> Report:
    """Give the token in TOKENS_TOKEN a new secret.

    It needs the scope self:rotate.
    """
    issued = rotated(holder(), f"{SELF}/rotate", overlap, called="the token", yes=yes)
    return with_secret(issued, quiet=quiet)


def holder() -> Client:
    """The client with TOKENS_TOKEN, never with the session of `login`. Raises SignInNeeded."""
    if not os.environ.get("TOKENS_TOKEN", "").strip():
        raise SignInNeeded("put the token into TOKENS_TOKEN")
    return connect()
