"""`webhooks`: other services that get events."""

from typing import Any
from urllib.parse import quote

import click

from service.cli.client.answers import DeliveryList, Item, Message, Taken, Webhook, WebhookList, WebhookSecret
from service.cli.client.http import connect
from service.cli.failure import Failure
from service.cli.terminal.options import filled, given, overlap, page_option, words
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Report, ReportGroup, facts, said, table
from service.tokens.webhooks.events import EventType

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
_which = click.argument("webhook", metavar="ID", callback=filled)


@click.group(cls=ReportGroup)
def webhooks() -> None:
    """Send events to other services."""


@webhooks.command("list")
def list_webhooks() -> Report:
    """List webhooks.

    With the number of deliveries that wait for a retry, of events not read yet, and of events dropped unread. A webhook
    whose record was changed outside the service is tampered: it is sent nothing, and can be removed.
    """
    answer = connect().get(_PATH, WebhookList)
    names = ("waiting", "unread", "dropped", "createdBy", "createdAt")
    rows = [
        [one["id"], one["url"], one["events"], _state(one), *(one[name] for name in names)]
        for one in answer["webhooks"]
    ]
    head = ("ID", "URL", "EVENTS", "STATE", "WAITING", "UNREAD", "DROPPED", "CREATED BY", "CREATED")
    none = "No webhooks. `token-service webhooks add URL --event token.revoked` adds one."
    return Report(answer, table(head, rows, optional=2, none=none))


# Not `click.Choice`, which takes one event per option.
def _known(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[str]:
    """The events of an option that takes several. Raises BadParameter, which names all events."""
    wanted = words(context, option, values) or []
    for event in wanted:
        if event not in tuple(EventType):
            raise click.BadParameter(f"{event!r} is none of {', '.join(EventType)}.")
    return wanted


@webhooks.command("add")
@click.argument("url")
@click.option(
    "--event",
    "events",
    multiple=True,
    required=True,
    callback=_known,
    help=f"Events to send, may repeat: {', '.join(EventType)}.",
)
def add_webhook(url: str, events: list[str]) -> Report:
    """Add a webhook and print its signing secret, this once."""
    answer = connect().send_once(_PATH, WebhookSecret, {"url": url, "events": events})
    return _with_secret(answer, "id", "url", "events", "secret")


@webhooks.command()
@_which
@click.option(
    "--overlap",
    type=overlap,
    metavar="SPAN",
    default="24h",
    show_default=True,
    help="How long the old secret also signs: 24h, 7d, or 0 to end it at once.",
)
def rotate(webhook: str, overlap: int) -> Report:
    """Give a webhook a new signing secret and print it, this once.

    During the overlap both secrets sign messages, so that the receiver can change in its own time.
    """
    answer = connect().send_once(_path(webhook, "/rotate"), WebhookSecret, {"overlapSeconds": overlap})
    return _with_secret(answer, "id", "url", "secret")


def _with_secret(answer: WebhookSecret, *shown: str) -> Report:
    unread = "token-service webhooks rotate {0} gives another one, webhooks remove {0} ends it".format(answer["id"])
    return Report(
        answer, facts([(name, value) for name, value in answer.items() if name in shown]), said(_ONCE), unread=unread
    )


@webhooks.command()
@_which
def activate(webhook: str) -> Report:
    """Switch a webhook on again.

    It is also sent what happened meanwhile.
    """
    return _switch(webhook, active=True)


@webhooks.command()
@_which
def deactivate(webhook: str) -> Report:
    """Send a webhook nothing until it is activated."""
    return _switch(webhook, active=False)


def _switch(webhook: str, *, active: bool) -> Report:
    answer = connect().send("PATCH", _path(webhook), Webhook, {"isActive": active})
    return Report(answer, table(("ID", "STATE"), [(answer["id"], _state(answer))]))


def _state(webhook: Item | Webhook) -> str:
    return "tampered" if webhook["tampered"] else "active" if webhook["isActive"] else "inactive"


def _path(webhook: str, more: str = "") -> str:
    # People type it: a slash in it must not lead to another route.
    return f"{_PATH}/{quote(webhook, safe='')}{more}"


@webhooks.command("remove")
@_which
@yes_option
def remove_webhook(webhook: str, yes: bool) -> Report:
    """Remove a webhook; waiting deliveries are not sent any more."""
    client = connect()
    confirm(f"Remove webhook {webhook}?", yes=yes)
    answer = client.send("DELETE", _PATH, Message, query={"id": webhook})
    return Report({"id": webhook, **answer}, table(("ID", "DONE"), [(webhook, "removed")]))


@webhooks.command()
@_which
def test(webhook: str) -> Report:
    """Send a webhook a test message and say what it answers."""
    return _told(connect().send("POST", _path(webhook, "/test"), Taken))


@webhooks.command()
@_which
@click.argument("delivery", callback=filled)
def send(webhook: str, delivery: str) -> Report:
    """Send one delivery again, at once.

    Prints what the receiver answers.
    """
    path = _path(webhook, f"/deliveries/{quote(delivery, safe='')}/send")
    return _told(connect().send("POST", path, Taken))


def _told(answer: Taken) -> Report:
    taken = answer["taken"]
    failure = None if taken else Failure(f"the receiver did not take it: {answer['error']}")
    return Report(answer, facts([("taken", taken), ("answer", answer["status"])]), failure=failure)


@webhooks.command()
@_which
@click.option("--status", type=click.Choice(["pending", "delivered", "dead"]), help="Those alone; without: all.")
@page_option
def deliveries(webhook: str, **query: Any) -> Report:
    """Show what a webhook was sent.

    Waiting deliveries first, the next due one at the top; then ended ones, newest first. Dead means not accepted within
    a day.
    """
    answer = connect().get(_path(webhook, "/deliveries"), DeliveryList, given(query))
    rows = [[one.get(name) for name in _DELIVERY] for one in answer["deliveries"]]
    return Report(answer, table(tuple(_DELIVERY.values()), rows, optional=4, none="Nothing was sent yet."))
