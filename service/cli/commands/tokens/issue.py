"""Commands that issue or change a token: create, update; `rotate` is in rotation.py."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from service.cli.client.http import connect
from service.cli.client.idempotency import send_once
from service.cli.client.references import TOKENS, Token, find, token_id_of
from service.cli.commands.tokens.show import described
from service.cli.failure import WrongUsage
from service.cli.terminal.options import Lifetime, LifetimeType, Number, Pair, Rate
from service.cli.terminal.report import Report, facts, json_option, line, said

F = TypeVar("F", bound=Callable[..., Any])
_CLEARED: dict[str, object] = {
    "description": "",
    "subject": "",
    "scopes": [],
    "rateLimits": [],
    "allowedNetworks": [],
    "maxUses": None,
    "metadata": {},
}
_CLEARABLE = {
    "description": "description",
    "subject": "subject",
    "scopes": "scopes",
    "rate": "rateLimits",
    "networks": "allowedNetworks",
    "max-uses": "maxUses",
    "meta": "metadata",
}
# What a limit is given as; the rest of what the API shows of one is how it stands.
_OF_LIMIT = ("name", "limit", "periodSeconds", "burst", "calendar")
rate_option = click.option(
    "--rate",
    multiple=True,
    type=Rate(),
    metavar="[NAME=]100/60s[:BURST]|[NAME=]10000/month[@DAY][@ZONE]",
    help="Requests in a time, and how many at once; or in each hour, day or month of a calendar. Up to four by name.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print the secret alone.")


def _members(command: F) -> F:
    """The options for what a token may and may not do."""
    for option in (
        click.option("--max-uses", type=Number(1), help="Uses after which it is refused."),
        click.option("--meta", multiple=True, type=Pair(), help="What you want to remember; may repeat."),
        click.option("--network", multiple=True, metavar="CIDR", help="Where it may come from; may repeat."),
        rate_option,
        click.option("--subject", help="Decides whom it speaks for upstream; without it, for nobody."),
        click.option("--scope", multiple=True, help="What it permits; may repeat."),
        click.option("--description", help="What uses it."),
    ):
        command = option(command)
    return command


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
    copied = {member: pattern[member] for member, empty in _CLEARED.items() if pattern.get(member, empty) != empty}
    if "rateLimits" in copied:
        copied["rateLimits"] = [
            {member: one[member] for member in _OF_LIMIT if member in one} for one in copied["rateLimits"]
        ]
    body = {"name": name, **expires.to_create(), **copied, **_changes(options)}
    return with_secret(send_once(client, TOKENS, body)["token"], quiet=quiet)


@click.command()
@click.argument("token", metavar="ID|NAME")
@click.option("--name", help="A new name.")
@click.option("--expires", type=LifetimeType(), metavar="LIFETIME", help="As for `create`, counted from now.")
@_members
@click.option("--clear", multiple=True, type=click.Choice(list(_CLEARABLE)), help="Remove what is set; may repeat.")
@json_option
def update(
    token: str,
    name: str | None,
    expires: Lifetime | None,
    clear: tuple[str, ...],
    **options: Any,
) -> Report:
    """Change a token.

    What may repeat (scopes, networks, rates, meta) replaces all that was there.
    """
    changes: dict[str, Any] = {_CLEARABLE[which]: _CLEARED[_CLEARABLE[which]] for which in clear}
    changes |= _changes(options)
    if name is not None:
        changes["name"] = name
    if expires is not None:
        changes |= expires.to_change()
    if not changes:
        raise WrongUsage("nothing to change: see token-service update --help")
    client = connect()
    changed = client.send("PATCH", TOKENS, {"id": token_id_of(client, token), **changes})["token"]
    return Report(changed, facts(described(changed)))


def _changes(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as members of a body."""
    members = {
        "description": options["description"],
        "subject": options["subject"],
        "scopes": [scope for value in options["scope"] for scope in value.replace(",", " ").split()] or None,
        "rateLimits": list(options["rate"]) or None,
        "allowedNetworks": list(options["network"]) or None,
        "maxUses": options["max_uses"],
        "metadata": dict(options["meta"]) or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def with_secret(token: Token, *, quiet: bool) -> Report:
    """A token that was just issued."""
    if quiet:
        return Report(token, line(token["token"]))
    shown = [("secret" if label == "token" else label, value) for label, value in described(token)]
    return Report(token, facts(shown), said("The secret is shown this once: keep it where only its user can read it."))
