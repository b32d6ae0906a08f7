"""`webhooks`: other services that are told of changes."""

from typing import Any
from urllib.parse import quote

import click

from service.cli.client.http import connect
from service.cli.failure import Failure
from service.cli.terminal.options import Span
from service.cli.terminal.output import json_option, note, print_facts, print_json, print_table
from service.cli.terminal.prompts import confirm

_PATH = "/api/admin/webhooks"
_ONCE = "The secret signs what is sent, and is shown this once: keep it where only the receiver can read it."
_DELIVERY = {
    "id": "ID",
    "event": "EVENT",
    "status": "STATUS",
    "createdAt": "CREATED",
    "attempts": "ATTEMPTS",
    "lastStatus": "ANSWER",
    "lastError": "ERROR",
    "lastAttemptAt": "LAST ATTEMPT",
    "nextAttemptAt": "NEXT ATTEMPT",
}


@click.group()
def webhooks() -> None:
    """Tell other services of changes."""


@webhooks.command("list")
@json_option
def list_webhooks(as_json: bool) -> None:
    """List webhooks: what waits to be sent again, what was not read yet, and what was dropped unread.

    One whose record was changed outside the service is tampered: it is told nothing, and can be removed.
    """
    answer = connect().get(_PATH)
    if as_json:
        print_json(answer)
        return
    names = ("waiting", "unread", "dropped", "createdBy", "createdAt")
    rows = [
        [one["id"], one["url"], one["events"], _state(one), *(one[name] for name in names)]
        for one in answer["webhooks"]
    ]
    if rows:
        head = ("ID", "URL", "EVENTS", "STATE", "WAITING", "UNREAD", "DROPPED", "CREATED BY", "CREATED")
        print_table(head, rows, optional=2)


@webhooks.command("add")
@click.argument("url")
@click.option("--event", "events", multiple=True, required=True, help="What to tell, like token.revoked; may repeat.")
@json_option
def add_webhook(url: str, events: tuple[str, ...], as_json: bool) -> None:
    """Add a webhook and print its signing secret, this once."""
    wanted = [event for value in events for event in value.replace(",", " ").split()]
    answer = connect().send("POST", _PATH, {"url": url, "events": wanted})
    if as_json:
        print_json(answer)
        return
    print_facts([(name, answer[name]) for name in ("id", "url", "events", "secret")])
    note(_ONCE)


@webhooks.command()
@click.argument("webhook", metavar="ID")
@click.option(
    "--overlap",
    type=Span(),
    metavar="SPAN",
    default="24h",
    show_default=True,
    help="How long the old secret signs, too: 24h, 7d, or 0 to end it at once.",
)
@json_option
def rotate(webhook: str, overlap: int, as_json: bool) -> None:
    """Give a webhook a new signing secret and print it, this once.

    For the overlap messages are signed with the old one as well, so that the receiver can change in its own time.
    """
    answer = connect().send("POST", _path(webhook, "/rotate"), {"overlapSeconds": overlap})
    if as_json:
        print_json(answer)
        return
    print_facts([(name, answer[name]) for name in ("id", "url", "secret")])
    note(_ONCE)


@webhooks.command()
@click.argument("webhook", metavar="ID")
@json_option
def activate(webhook: str, as_json: bool) -> None:
    """Send a webhook messages again, of what happened meanwhile, too."""
    _switch(webhook, active=True, as_json=as_json)


@webhooks.command()
@click.argument("webhook", metavar="ID")
@json_option
def deactivate(webhook: str, as_json: bool) -> None:
    """Send a webhook nothing until it is activated."""
    _switch(webhook, active=False, as_json=as_json)


def _switch(webhook: str, *, active: bool, as_json: bool) -> None:
    answer = connect().send("PATCH", _path(webhook), {"isActive": active})
    if as_json:
        print_json(answer)
    else:
        print_table(("ID", "STATE"), [(answer["id"], _state(answer))])


def _state(webhook: dict[str, Any]) -> str:
    return "tampered" if webhook["tampered"] else "active" if webhook["isActive"] else "inactive"


def _path(webhook: str, more: str = "") -> str:
    return f"{_PATH}/{quote(webhook, safe='')}{more}"


@webhooks.command("remove")
@click.argument("webhook", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove_webhook(webhook: str, yes: bool, as_json: bool) -> None:
    """Remove a webhook; what waits for it is not sent any more."""
    client = connect()
    confirm(f"Remove webhook {webhook}?", yes=yes)
    answer = client.send("DELETE", _PATH, query={"id": webhook})
    if as_json:
        print_json({"id": webhook, **answer})
    else:
        print_table(("ID", "DONE"), [(webhook, "removed")])


@webhooks.command()
@click.argument("webhook", metavar="ID")
@json_option
def test(webhook: str, as_json: bool) -> None:
    """Send a webhook a test message and say what it answers."""
    _report(connect().send("POST", _path(webhook, "/test")), as_json=as_json)


@webhooks.command()
@click.argument("webhook", metavar="ID")
@click.argument("delivery")
@json_option
def send(webhook: str, delivery: str, as_json: bool) -> None:
    """Send a webhook one delivery again, at once, and say what it answers."""
    path = _path(webhook, f"/deliveries/{quote(delivery, safe='')}/send")
    _report(connect().send("POST", path), as_json=as_json)


def _report(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_facts([("taken", "yes" if answer["taken"] else "no"), ("answer", answer["status"])])
    if not answer["taken"]:
        raise Failure(f"the receiver did not take it: {answer['error']}")


@webhooks.command()
@click.argument("webhook", metavar="ID")
@click.option("--status", type=click.Choice(["pending", "delivered", "dead"]), help="Those alone; without: all.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many.")
@json_option
def deliveries(webhook: str, status: str | None, limit: int, as_json: bool) -> None:
    """Show what a webhook was sent.

    Newest first; dead is what it did not take within a day.
    """
    query: dict[str, object] = {"limit": limit} if status is None else {"status": status, "limit": limit}
    answer = connect().get(_path(webhook, "/deliveries"), query)
    if as_json:
        print_json(answer)
        return
    rows = [[one.get(name) for name in _DELIVERY] for one in answer["deliveries"]]
    if rows:
        print_table(tuple(_DELIVERY.values()), rows, optional=4)
