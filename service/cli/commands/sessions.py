"""`sessions`: the sign-ins of other people."""

import click

from service.cli.client.http import connect
from service.cli.failure import WrongUsage
from service.cli.terminal.options import page_option
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Report, json_option, table

_PATH = "/api/admin/sessions"


@click.group()
def sessions() -> None:
    """List and end the sign-ins of accounts."""


@sessions.command("list")
@click.argument("user", required=False)
@page_option
@json_option
def list_sessions(user: str | None, limit: int) -> Report:
    """List who is signed in, the last sign-in first."""
    answer = connect().get(_PATH, {"limit": limit, **({"username": user} if user else {})})
    names = ("id", "username", "createdAt", "expiresAt")
    rows = [[one[name] for name in names] for one in answer["sessions"]]
    return Report(answer, table(("ID", "ACCOUNT", "SIGNED IN", "EXPIRES"), rows, none="Nobody is signed in."))


@sessions.command("revoke")
@click.argument("user")
@click.option("--id", "session", metavar="ID", help="That one alone.")
@yes_option
@json_option
def revoke_sessions(user: str, session: str | None, yes: bool) -> Report:
    """End all sessions of an account, or one.

    All: also those that are being created now. The account may sign in again: `accounts disable` bars it.
    """
    # What a variable that is not set comes to in a script.
    if not user.strip():
        raise WrongUsage("give the account's name")
    client = connect()
    confirm(f"End session {session} of {user}?" if session else f"End all sessions of {user}?", yes=yes)
    body = {"username": user, "id": session} if session else {"username": user}
    answer = client.send("POST", f"{_PATH}/revoke", body)
    ended = answer["ended"]
    return Report({"username": user, "ended": ended}, table(("ACCOUNT", "SESSIONS ENDED"), [(user, ended)]))
