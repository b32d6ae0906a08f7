"""Commands that issue or change a token: create, derive, update, rotate."""

from typing import Any

import click

from service.cli.client.answers import Message, OneToken, Token
from service.cli.client.http import Client, connect, named_token
from service.cli.client.references import SELF, TOKENS, find, path_of, token_id_of
from service.cli.commands.tokens.show import described
from service.cli.failure import SignInNeeded, WrongUsage
from service.cli.terminal.options import (
    Lifetime,
    Number,
    filled,
    given,
    lifetime,
    overlap,
    pair,
    rate,
    several,
    span,
    together,
    words,
)
from service.cli.terminal.prompts import confirm
from service.cli.terminal.report import Report, ReportCommand, facts, line, said, table

# The name for `--clear`, the member of the API, and its empty value.
_CLEARABLE: dict[str, tuple[str, object]] = {
    "description": ("description", ""),
    "subject": ("subject", ""),
    "scopes": ("scopes", []),
    "rate": ("limits", []),
    "networks": ("allowedNetworks", []),
    "max-uses": ("maxUses", None),
    "meta": ("metadata", {}),
}
# The members that define a limit; the others that the API shows are its state.
_OF_LIMIT = ("name", "limit", "periodSeconds", "burst", "calendar")
rate_option = several(
    "--rate",
    "limits",
    type=rate,
    metavar="[NAME=]100/60s[:BURST]|[NAME=]10000/month[@DAY][@ZONE]",
    help="Requests per time, and how many at once; or per hour, day or month of a calendar. Up to four, by name.",
)
_scope_option = click.option("--scope", "scopes", multiple=True, callback=words, help="What it permits; may repeat.")
_network_option = several("--network", "allowedNetworks", metavar="CIDR", help="Allowed network; may repeat.")
_uses_option = click.option("--max-uses", "maxUses", type=Number(1), help="Uses after which it is refused.")
_quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print the secret alone.")
# What a token may do, and its limits.
_members = together(
    click.option("--description", help="What uses it."),
    _scope_option,
    click.option("--subject", help="Whom it speaks for upstream; default: nobody."),
    rate_option,
    _network_option,
    click.option(
        "--meta",
        "metadata",
        multiple=True,
        type=pair,
        metavar="KEY=VALUE",
        # None leaves it out of a change; an empty object would remove the present one.
        callback=lambda _, __, pairs: dict(pairs) or None,
        help="Anything to remember about it; may repeat.",
    ),
    _uses_option,
)
_DAY_SECONDS = 86400
rotation_options = together(
    # Without a default, because `rotate --end` must know whether an overlap was given.
    click.option(
        "--overlap",
        type=overlap,
        metavar="SPAN",
        help="How long the old secret stays valid: 24h (unless given), 7d, or 0 to end it at once.",
    ),
    click.option("--yes", is_flag=True, help="Do not ask before an old secret ends at once."),
    _quiet_option,
)


@click.command(cls=ReportCommand)
@click.argument("name")
@click.option(
    "--expires",
    type=lifetime,
    default="1month",
    show_default=True,
    help="90d, 12h, 7days, 1month, 6months, 1year, 2027-01-31 (midnight UTC), an instant, or never.",
)
@click.option(
    "--like", metavar="ID|NAME", callback=filled, help="Copy that token's terms, unless an option says otherwise."
)
@_members
@_quiet_option
def create(name: str, expires: Lifetime, like: str | None, quiet: bool, **options: Any) -> Report:
    """Create a token and print its secret, this once.

    As in: token-service create checkout-api --expires 90d --scope orders:read
    """
    client = connect()
    pattern: dict[str, Any] = {**find(client, like)} if like else {}
    copied = {member: pattern[member] for member, empty in _CLEARABLE.values() if pattern.get(member, empty) != empty}
    if "limits" in copied:
        copied["limits"] = [{member: one[member] for member in _OF_LIMIT if member in one} for one in copied["limits"]]
    # In this order, because options override what is copied. A word if there is one, because then the clocks of the two
    # machines need not agree.
    end = {"duration": expires.word} if expires.word else {"expiresAt": expires.expires_at}
    body = {"name": name, **end, **copied, **given(options)}
    return with_secret(client.send_once(TOKENS, OneToken, body)["token"], quiet=quiet)


def holder() -> Client:
    """The client with TOKENS_TOKEN, never with the session of `login`. Raises SignInNeeded."""
    if not named_token():
        raise SignInNeeded("put the token into TOKENS_TOKEN")
    return connect()


@click.command(cls=ReportCommand)
@click.option(
    "--ttl", "ttlSeconds", type=span, help="How long it lives, like 15m; default: 1h, or until that one ends."
)
@_scope_option
@_network_option
@click.option("--subject", help="Whom it speaks for; empty for nobody.")
@rate_option
@_uses_option
@_quiet_option
def derive(quiet: bool, **options: Any) -> Report:
    """Derive a narrower token from the one in TOKENS_TOKEN.

    That token needs the scope self:derive. The new token ends when that one ends, and is like it unless an option
    says otherwise.
    """
    derived = holder().send_once(f"{SELF}/derive", OneToken, given(options))["token"]
    return with_secret(derived, quiet=quiet, unread="end-derived --id {} ends it")


@click.command(cls=ReportCommand)
@click.argument("token", metavar="ID|NAME")
@click.option("--name", help="A new name.")
@click.option("--expires", type=lifetime, help="As for `create`, counted from now.")
@_members
@click.option("--clear", multiple=True, type=click.Choice(list(_CLEARABLE)), help="Remove what is set; may repeat.")
def update(token: str, expires: Lifetime | None, clear: tuple[str, ...], **options: Any) -> Report:
    """Change a token.

    Options that may repeat (scopes, networks, rates, meta) replace all earlier values.
    """
    changes = dict(_CLEARABLE[which] for which in clear) | given(options)
    if expires is not None:
        changes["expiresAt"] = expires.expires_at
    if not changes:
        raise WrongUsage("nothing to change: see token-service update --help")
    client = connect()
    changed = client.send("PATCH", TOKENS, OneToken, {"id": token_id_of(client, token), **changes})["token"]
    return Report(changed, facts(described(changed)))


def with_secret(
    token: Token, *, quiet: bool, unread: str = "rotate {0} gives another one, revoke {0} ends it"
) -> Report:
    what_to_do = "token-service " + unread.format(token["id"])
    if quiet:
        return Report(token, line(token["token"]), unread=what_to_do)
    shown = [("secret" if label == "token" else label, value) for label, value in described(token)]
    once = said("The secret is shown this once: keep it where only its user can read it.")
    return Report(token, facts(shown), once, unread=what_to_do)


@click.command(cls=ReportCommand)
@click.argument("token", metavar="ID|NAME")
@rotation_options
@click.option("--end", is_flag=True, help="Make no new secret; end the overlap of the last rotation now.")
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
        answer = client.send("DELETE", path_of(token_id, "/rotate"), Message)
        return Report({"id": token_id, **answer}, table(("ID", "DONE"), [(token_id, "overlap ended")]))
    issued = rotated(client, path_of(token_id, "/rotate"), overlap, called=token, yes=yes)
    return with_secret(issued, quiet=quiet)


def rotated(client: Client, path: str, overlap: int | None, *, called: str, yes: bool) -> Token:
    """The token with its new secret, after a question if its old secret ends at once. Raises Failure."""
    if overlap == 0:
        confirm(f"The present secret of {called} stops at once. Rotate?", yes=yes)
    body = {"overlapSeconds": _DAY_SECONDS if overlap is None else overlap}
    return client.send_once(path, OneToken, body)["token"]
