"""Commands that issue or change a token: create, update; `rotate` is in rotation.py."""

from typing import Any

import click

from service.cli.client.http import connect
from service.cli.client.references import TOKENS, Token, find, token_id_of
from service.cli.commands.tokens.show import described
from service.cli.failure import WrongUsage
from service.cli.terminal.options import Lifetime, LifetimeType, Number, Pair, Rate, given, listed, together, words
from service.cli.terminal.report import Report, facts, json_option, line, said

# What `--clear` calls it, the member of the API, and what that is when it is empty.
_CLEARABLE: dict[str, tuple[str, object]] = {
    "description": ("description", ""),
    "subject": ("subject", ""),
    "scopes": ("scopes", []),
    "rate": ("rateLimits", []),
    "networks": ("allowedNetworks", []),
    "max-uses": ("maxUses", None),
    "meta": ("metadata", {}),
}
# What a limit is given as; the rest of what the API shows of one is how it stands.
_OF_LIMIT = ("name", "limit", "periodSeconds", "burst", "calendar")
rate_option = click.option(
    "--rate",
    "rateLimits",
    multiple=True,
    type=Rate(),
    callback=listed,
    metavar="[NAME=]100/60s[:BURST]|[NAME=]10000/month[@DAY][@ZONE]",
    help="Requests in a time, and how many at once; or in each hour, day or month of a calendar. Up to four by name.",
)
scope_option = click.option("--scope", "scopes", multiple=True, callback=words, help="What it permits; may repeat.")
network_option = click.option(
    "--network",
    "allowedNetworks",
    multiple=True,
    callback=listed,
    metavar="CIDR",
    help="Where it may come from; may repeat.",
)
uses_option = click.option("--max-uses", "maxUses", type=Number(1), help="Uses after which it is refused.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print the secret alone.")
# What a token may and may not do.
_members = together(
    click.option("--description", help="What uses it."),
    scope_option,
    click.option("--subject", help="Decides whom it speaks for upstream; without it, for nobody."),
    rate_option,
    network_option,
    click.option(
        "--meta",
        "metadata",
        multiple=True,
        type=Pair(),
        # None is left out of a change; an empty object would take away what there is.
        callback=lambda _, __, pairs: dict(pairs) or None,
        help="What you want to remember; may repeat.",
    ),
    uses_option,
)


@click.command()
@click.argument("name")
@click.option(
    "--expires",
    type=LifetimeType(),
    default="1month",
    show_default=True,
    metavar="LIFETIME",
    help="90d, 12h, 7days, 1month, 6months, 1year, 2027-01-31 (midnight UTC), an instant, or never.",
)
@click.option("--like", metavar="ID|NAME", help="With what that token has, where no option says otherwise.")
@_members
@quiet_option
@json_option
def create(name: str, expires: Lifetime, like: str | None, quiet: bool, **options: Any) -> Report:
    """Create a token and print its secret, this once.

    As in: token-service create checkout-api --expires 90d --scope orders:read
    """
    client = connect()
    pattern = find(client, like) if like else {}
    copied = {member: pattern[member] for member, empty in _CLEARABLE.values() if pattern.get(member, empty) != empty}
    if "rateLimits" in copied:
        copied["rateLimits"] = [
            {member: one[member] for member in _OF_LIMIT if member in one} for one in copied["rateLimits"]
        ]
    # In this order: what an option says takes the place of what is copied.
    body = {"name": name, **expires.to_create(), **copied, **given(options)}
    return with_secret(client.send_once(TOKENS, body)["token"], quiet=quiet)


@click.command()
@click.argument("token", metavar="ID|NAME")
@click.option("--name", help="A new name.")
@click.option("--expires", type=LifetimeType(), metavar="LIFETIME", help="As for `create`, counted from now.")
@_members
@click.option("--clear", multiple=True, type=click.Choice(list(_CLEARABLE)), help="Remove what is set; may repeat.")
@json_option
def update(token: str, expires: Lifetime | None, clear: tuple[str, ...], **options: Any) -> Report:
    """Change a token.

    What may repeat (scopes, networks, rates, meta) replaces all that was there.
    """
    changes = dict(_CLEARABLE[which] for which in clear) | given(options)
    if expires is not None:
        changes |= expires.to_change()
    if not changes:
        raise WrongUsage("nothing to change: see token-service update --help")
    client = connect()
    changed = client.send("PATCH", TOKENS, {"id": token_id_of(client, token), **changes})["token"]
    return Report(changed, facts(described(changed)))


def with_secret(
    token: Token, *, quiet: bool, unread: str = "rotate {0} gives another one, revoke {0} ends it"
) -> Report:
    """A token that was just issued."""
    what_to_do = "token-service " + unread.format(token["id"])
    if quiet:
        return Report(token, line(token["token"]), unread=what_to_do)
    shown = [("secret" if label == "token" else label, value) for label, value in described(token)]
    once = said("The secret is shown this once: keep it where only its user can read it.")
    return Report(token, facts(shown), once, unread=what_to_do)
