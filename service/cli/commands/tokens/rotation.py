"""`rotate`: a new secret for a token, and the end of the old one."""

from typing import Any

import click

from service.cli.client.http import Client, connect, path_of
from service.cli.client.references import token_id_of
from service.cli.commands.tokens.issue import quiet_option, with_secret
from service.cli.failure import WrongUsage
from service.cli.terminal.options import Span, together
from service.cli.terminal.prompts import confirm
from service.cli.terminal.report import Report, json_option, table

_DAY_SECONDS = 86400
rotation_options = together(
    # No default: `rotate --end` has to tell an overlap that was given from one that was not.
    click.option(
        "--overlap",
        type=Span(),
        metavar="SPAN",
        help="How long the old secret stays valid: 24h (unless given), 7d, or 0 to end it at once.",
    ),
    click.option("--yes", is_flag=True, help="Do not ask before an old secret ends at once."),
    quiet_option,
)


@click.command()
@click.argument("token", metavar="ID|NAME")
@rotation_options
@click.option("--end", is_flag=True, help="Give no new secret, but end the overlap of the last rotation now.")
@json_option
def rotate(token: str, overlap: int | None, yes: bool, quiet: bool, end: bool) -> Report:
    """Give a token a new secret.

    Its id, name, scopes and expiry stay as they are.
    """
    if end and (overlap is not None or quiet):
        raise WrongUsage("--end gives no new secret: leave out --overlap and --quiet")
    client = connect()
    token_id = token_id_of(client, token)
    if end:
        confirm(f"The old secret of {token} stops at once. End its overlap?", yes=yes)
        answer = client.send("DELETE", path_of(token_id, "/rotate"))
        return Report({"id": token_id, **answer}, table(("ID", "DONE"), [(token_id, "overlap ended")]))
    issued = rotated(client, path_of(token_id, "/rotate"), overlap, called=token, yes=yes)
    return with_secret(issued, quiet=quiet)


def rotated(client: Client, path: str, overlap: int | None, *, called: str, yes: bool) -> dict[str, Any]:
    """The token with its new secret, after a question if nothing is left of the old one. Raises Failure."""
    if overlap == 0:
        confirm(f"The present secret of {called} stops at once. Rotate?", yes=yes)
    body = {"overlapSeconds": _DAY_SECONDS if overlap is None else overlap}
    issued: dict[str, Any] = client.send_once(path, body)["token"]
    return issued
