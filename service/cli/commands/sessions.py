"""`login`, `whoami`, `logout`: a session for a password, kept for later commands. `sessions`: everybody's sessions."""

import http.client
import time

import click

from service.cli.client import session_state
from service.cli.client.address import Address, service_address
from service.cli.client.answers import Ended, SessionList, SignedIn, Token
from service.cli.client.http import Client, connect, named_token, refusal
from service.cli.client.references import SELF
from service.cli.commands.verify import KIND
from service.cli.failure import Failure, WrongUsage
from service.cli.terminal.options import filled, page_option
from service.cli.terminal.prompts import confirm, read_password, somebody_answers, yes_option
from service.cli.terminal.report import Report, ReportCommand, ReportGroup, facts, said, table

_PATH = "/api/admin/sessions"
_LABELS = {
    "url": "service",
    "username": "account",
    "name": "token",
    "id": "id",
    "scopes": "scopes",
    "expiresAt": "until",
}


@click.group(cls=ReportGroup)
def sessions() -> None:
    """List and end the sign-ins of accounts."""


@sessions.command("list")
@click.argument("user", required=False, callback=filled)
@page_option
def list_sessions(user: str | None, limit: int) -> Report:
    """List who is signed in, latest sign-in first."""
    answer = connect().get(_PATH, SessionList, {"limit": limit, **({"username": user} if user else {})})
    names = ("id", "username", "createdAt", "lastSeenAt", "expiresAt")
    rows = [[one[name] for name in names] for one in answer["sessions"]]
    return Report(
        answer, table(("ID", "ACCOUNT", "SIGNED IN", "LAST SEEN", "EXPIRES"), rows, none="Nobody is signed in.")
    )


@sessions.command("revoke")
@click.argument("user", callback=filled)
@click.option("--id", "session", metavar="ID", callback=filled, help="That one alone.")
@yes_option
def revoke_sessions(user: str, session: str | None, yes: bool) -> Report:
    """End all sessions of an account, or one.

    All includes those being created now. The account may sign in again, unless `accounts disable` bars it.
    """
    client = connect()
    confirm(f"End session {session} of {user}?" if session else f"End all sessions of {user}?", yes=yes)
    body = {"username": user, "id": session} if session else {"username": user}
    answer = client.send("POST", f"{_PATH}/revoke", Ended, body)
    ended = answer["ended"]
    return Report({"username": user, "ended": ended}, table(("ACCOUNT", "SESSIONS ENDED"), [(user, ended)]))


@click.command(cls=ReportCommand)
@click.argument("name", required=False, callback=filled)
def login(name: str | None) -> Report:
    """Sign in with an account.

    Asks for the password, or reads it from standard input. The session is kept until `logout` or its end,
    in a file that only you can read under XDG_STATE_HOME/token-service.
    """
    address = service_address()
    if name is None:
        if not somebody_answers():
            raise WrongUsage("give the account's name: token-service login NAME")
        name = str(click.prompt("Name", err=True))
    # Before the password, because a session that cannot be kept would stay open at the service.
    place = session_state.place_to_keep(str(address))
    password = read_password()
    client = Client(address)
    answer = client.ask("POST", "/api/token", body={"username": name, "password": password})
    # In the words of a sign-in, because the usual refusal would say to run `login`. An HTML page comes from a proxy,
    # which has passwords of its own.
    if answer.status == http.client.UNAUTHORIZED and answer.headers.get_content_type() != "text/html":
        raise Failure("wrong name or password")
    members = client.members(answer, SignedIn)
    try:
        session_state.keep(session_state.Session(str(address), name, members["token"], members["expiry_time"]), place)
    except Failure:
        # As on a full disk: without the file nobody could end the session.
        _end(address, members["token"])
        raise
    until = _instant(members["expiry_time"])
    return Report(
        {"url": str(address), "username": name, "expiresAt": until},
        said(f"Signed in to {address} as {name} until {until}."),
    )


@click.command(cls=ReportCommand)
def logout() -> Report:
    """Sign out.

    Ends the session and removes its file.
    """
    address = service_address()
    session = session_state.read(str(address))
    # The file first, so that it is removed even if the service cannot be reached; and the session even if it cannot.
    try:
        session_state.forget(str(address))
    finally:
        if session is not None:
            _end(address, session.token)
    return Report(
        {"url": str(address), "signedOut": session is not None},
        said(f"Signed out of {address}." if session else f"Not signed in to {address}."),
    )


@click.command(cls=ReportCommand)
def whoami() -> Report:
    """Show who asks, and where.

    The account of `login`, or the token in TOKENS_TOKEN. Asks the service whether it is still accepted.
    """
    client = connect()
    given = named_token()
    if given.startswith("rtk_"):
        # Unlike a validation, this spends no use.
        token = client.get(SELF, Token)
        who = {name: token[name] for name in ("name", "id", "scopes", "expiresAt")}
    else:
        answer = client.ask("GET", "/validate")
        if answer.status != http.client.OK or KIND not in answer.headers:
            raise refusal(answer, client.address)
        # The kept session says nothing about a token in TOKENS_TOKEN.
        session = None if given else session_state.read(str(client.address))
        who = {"username": answer.headers["X-Token-Subject"], "expiresAt": session and _instant(session.expires_at)}
    found = {"url": str(client.address), **who}
    return Report(found, facts([(_LABELS[name], value) for name, value in found.items() if value not in (None, [])]))


def _end(address: Address, token: str) -> None:
    Client(address).send("DELETE", "/api/token", dict, {"token": token})


def _instant(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
