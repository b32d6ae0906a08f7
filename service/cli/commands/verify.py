"""`verify`: the gateway's question, asked by hand. `explain`: why a token is accepted or refused."""

import http.client
from typing import Any
from urllib.parse import unquote

import click

from service.cli.client.address import service_address
from service.cli.client.answers import Explained
from service.cli.client.http import Answer, Client, connect, named_token, refusal
from service.cli.client.references import TOKENS, token_id_of
from service.cli.failure import TokenRefused, WrongUsage
from service.cli.terminal.options import Number, filled, given, words
from service.cli.terminal.output import on_terminal
from service.cli.terminal.prompts import read_token, somebody_answers
from service.cli.terminal.report import Report, ReportCommand, facts, table

_REFUSALS = (http.client.UNAUTHORIZED, http.client.FORBIDDEN, http.client.TOO_MANY_REQUESTS)
# A header field of every accepted token.
KIND = "X-Token-Kind"
_HEADERS = {"id": "X-Token-Id", "kind": KIND, "subject": "X-Token-Subject", "scopes": "X-Token-Scopes"}
# Clearer names for checks that read like a token's status.
_CHECKS = {"server_key": "server key", "active": "switched on", "expired": "expiry"}


@click.command(cls=ReportCommand)
@click.option("--scope", multiple=True, callback=words, help="A scope that it must have; may repeat.")
def verify(scope: list[str] | None) -> Report:
    """Ask whether a token is accepted.

    Reads the secret from standard input, else from TOKENS_TOKEN. It counts as a use, like any other
    validation. Exit 0 if it is accepted, 3 if it is refused. One-time tokens are refused, unspent.
    """
    address = service_address()
    answer = Client(address, _secret()).ask(
        "GET", "/validate", query={"required_scope": " ".join(scope)} if scope else None
    )
    # Another's answer may be a 200, too.
    if answer.status == http.client.OK and KIND in answer.headers:
        found = _found(answer)
        shown = facts([("status", "active"), *found.items()])
        return Report({"active": True, **found, "scopes": found["scopes"].split()}, shown)
    problem = answer.problem()
    if answer.status not in _REFUSALS or not problem:
        raise refusal(answer, address)
    return Report(
        {"active": False, "status": answer.status, "code": problem.get("code")},
        failure=TokenRefused(f"refused: {problem['detail']}", problem=problem),
    )


def _secret() -> str:
    # On a terminal the variable comes first, because a prompt would wait; a script means what it pipes in.
    named = named_token()
    secret = named or read_token() if somebody_answers() else read_token() or named
    if not secret:
        raise WrongUsage("no token on standard input or in TOKENS_TOKEN")
    return secret


def _found(answer: Answer) -> dict[str, str]:
    """What the gateway is told about a token; `-` there means no value."""
    found = {name: answer.headers.get(header, "-") for name, header in _HEADERS.items()}
    found = {name: "" if value == "-" else value for name, value in found.items()}
    if name := answer.headers.get("X-Token-Name"):
        found["name"] = unquote(name)
    return found


@click.command(cls=ReportCommand)
@click.argument("token", metavar="[ID|NAME]", required=False, callback=filled)
@click.option("--scope", "scopes", multiple=True, callback=words, help="A scope that a gateway asks for; may repeat.")
@click.option("--address", callback=filled, help="The client's address, as a trusted proxy reports it.")
@click.option("--path", help="The path of /validate that the gateway uses.  [default: /validate]")
@click.option("--at", metavar="INSTANT", help="When, from now on, like 2027-01-31T12:00:00Z.")
@click.option("--cost", type=Number(1, 1000), help="Cost of the request, as the gateway gives it.")
def explain(token: str | None, **terms: Any) -> Report:
    """Explain why a token is accepted or refused.

    Reads the secret from standard input, or takes the id or name of a managed token. Lists every check, and what a
    gateway would be answered. Nothing is spent or counted. Exit 0, whatever the outcome.
    """
    # TOKENS_TOKEN belongs to whoever asks, so it is not read here.
    secret = "" if token else read_token()
    if not token and not secret:
        raise WrongUsage("no token on standard input")
    client = connect()
    who = {"id": token_id_of(client, token)} if token else {"token": secret}
    found = client.send("POST", f"{TOKENS}/explain", Explained, {**who, **given(terms)})
    # Scripts get the API's words.
    names = _CHECKS if on_terminal() else {}
    rows = [(names.get(one["check"], one["check"]), one["result"], one["detail"]) for one in found["checks"]]
    return Report(
        found,
        facts([("outcome", found["outcome"]), ("answer", found["answer"]["status"])]),
        table(("CHECK", "RESULT", "DETAIL"), rows),
    )
