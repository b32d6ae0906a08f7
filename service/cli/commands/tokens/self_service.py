"""`self`: what the holder of a managed token may do with it, by the token alone."""

import os

import click

from service.cli.client.http import Client, connect
from service.cli.commands.tokens.issue import show_secret
from service.cli.commands.tokens.rotation import rotated, rotation_options
from service.cli.commands.tokens.show import facts
from service.cli.failure import SignInNeeded
from service.cli.terminal.output import json_option, print_facts, print_json, print_table
from service.cli.terminal.prompts import confirm

_PATH = "/api/tokens/self"


@click.group("self")
def own_token() -> None:
    """Show, revoke or rotate the token in TOKENS_TOKEN.

    Needs no account, and spends no use of the token.
    """


@own_token.command("show")
@json_option
def show_self(as_json: bool) -> None:
    """Show the token in TOKENS_TOKEN."""
    found = _holder().get(_PATH)
    if as_json:
        print_json(found)
    else:
        print_facts(facts(found))


@own_token.command("revoke")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke_self(yes: bool, as_json: bool) -> None:
    """Revoke the token in TOKENS_TOKEN for good."""
    client = _holder()
    found = client.get(_PATH)
    confirm(f"Revoke {found['name']} ({found['id']}) for good?", yes=yes)
    client.send("DELETE", _PATH)
    if as_json:
        print_json({"updated": [found["id"]], "skipped": []})
    else:
        print_table(("ID", "DONE"), [(found["id"], "revoked")])


@own_token.command("rotate")
@rotation_options
@json_option
def rotate_self(overlap: int | None, yes: bool, quiet: bool, as_json: bool) -> None:
    """Give the token in TOKENS_TOKEN a new secret.

    It needs the scope self:rotate.
    """
    issued = rotated(_holder(), f"{_PATH}/rotate", overlap, called="the token", yes=yes)
    show_secret(issued, quiet=quiet, as_json=as_json)


def _holder() -> Client:
    """The client with TOKENS_TOKEN, never with the session of `login`. Raises SignInNeeded."""
    if not os.environ.get("TOKENS_TOKEN", "").strip():
        raise SignInNeeded("put the token into TOKENS_TOKEN")
    return connect()
