"""`sessions`: the sign-ins of other people."""

import click

from service.cli.client.http import connect
from service.cli.failure import WrongUsage
from service.cli.terminal.output import json_option, print_json, print_table
from service.cli.terminal.prompts import confirm


@click.group()
def sessions() -> None:
    """End sessions of an account."""


@sessions.command("revoke")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke_sessions(user: str, yes: bool, as_json: bool) -> None:
    """End all sessions of an account.

    Also those that are being created now. The account may sign in again: `accounts disable` bars it.
    """
    if not user.strip():
        raise WrongUsage("give the account's name")
    client = connect()
    confirm(f"End all sessions of {user}?", yes=yes)
    answer = client.send("POST", "/api/admin/sessions/revoke", {"username": user})
    if as_json:
        print_json({"username": user, "ended": answer["ended"]})
    else:
        print_table(("ACCOUNT", "SESSIONS ENDED"), [(user, answer["ended"])])
