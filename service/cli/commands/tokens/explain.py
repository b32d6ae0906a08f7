"""`explain`: why a token is accepted or refused."""

from typing import Any

import click

from service.cli.client.http import connect
from service.cli.client.references import TOKENS, token_id_of
from service.cli.failure import WrongUsage
from service.cli.terminal.options import Number, given, listed
from service.cli.terminal.output import on_terminal
from service.cli.terminal.prompts import read_token
from service.cli.terminal.report import Report, facts, json_option, table

# Names that read as if they were a token's status.
_CHECKS = {"server_key": "server key", "active": "switched on", "expired": "expiry"}


@click.command()
@click.argument("token", metavar="[ID|NAME]", required=False)
@click.option("--scope", "scopes", multiple=True, callback=listed, help="A scope that a gateway asks for; may repeat.")
@click.option("--address", help="The client's address, as a trusted proxy reports it.")
@click.option("--path", help="The form of /validate that a gateway asks.  [default: /validate]")
@click.option("--at", metavar="INSTANT", help="When, from now on, like 2027-01-31T12:00:00Z.")
@click.option("--cost", type=Number(1, 1000), help="What a gateway says that the request costs.")
@json_option
def explain(token: str | None, **terms: Any) -> Report:
    """Explain why a token is accepted or refused.

    Reads the secret from standard input, or asks about the managed token of an id or name. Every check is listed,
    and what a gateway would get. Nothing is spent or counted. Exit 0, whatever the outcome.
    """
    # TOKENS_TOKEN is that of whoever asks, so it is not read here.
    secret = "" if token else read_token()
    if not token and not secret:
        raise WrongUsage("no token on standard input")
    client = connect()
    who = {"id": token_id_of(client, token)} if token else {"token": secret}
    found = client.send("POST", f"{TOKENS}/explain", {**who, **given(terms)})
    # Scripts get the words of the API.
    names = _CHECKS if on_terminal() else {}
    rows = [(names.get(one["check"], one["check"]), one["result"], one["detail"]) for one in found["checks"]]
    return Report(
        found,
        facts([("outcome", found["outcome"]), ("answer", found["answer"]["status"])]),
        table(("CHECK", "RESULT", "DETAIL"), rows),
    )
