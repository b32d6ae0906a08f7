"""Webhooks and deliveries, as the administration reads and shows them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.api.http.call import PAGE, PageSize
from service.api.http.timestamps import Instant, rfc3339, rfc3339_or_none
from service.tokens.webhooks.delivery import Delivery
from service.tokens.webhooks.events import EventType
from service.tokens.webhooks.registry import Webhook


class CreateWebhook(msgspec.Struct, forbid_unknown_fields=True):
    """Where to send which events; the address must be public and https."""

    # http passes here because TOKENS_WEBHOOK_ALLOW_PRIVATE may allow it; what is allowed is decided in ssrf.py.
    url: Annotated[str, Meta(min_length=1, max_length=2048, extra_json_schema={"pattern": "^https?://[!-~]+$"})]
    events: Annotated[list[EventType], Meta(min_length=1, max_length=len(EventType))]


class WebhookShown(msgspec.Struct, rename="camel"):
    """A receiver of events; of one that is tampered nothing is known but its id."""

    id: str
    url: str
    events: list[EventType]
    created_at: Instant | None
    created_by: str


class WebhookCreated(WebhookShown, rename="camel"):
    """A receiver with the secret its messages are signed with, shown this once."""

    secret: str


class WebhookStanding(WebhookShown, rename="camel"):
    """A receiver and how far it is: deliveries that wait to be sent again, changes of any kind that were not
    read for it yet, and changes that were trimmed from the log before it had room for them.

    Until `previousSecretUntil` the secret before the last rotation signs, too. A `tampered` one, whose record was
    changed outside the service, is told nothing and can only be deleted.
    """

    is_active: bool
    tampered: bool
    previous_secret_until: Instant | None
    waiting: int
    unread: int
    dropped: int


class ChangeWebhook(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Whether the receiver is told."""

    is_active: bool


class WebhookList(msgspec.Struct):
    """All receivers."""

    webhooks: list[WebhookStanding]


class DeletedQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which one."""

    # Any text: the id of a record that somebody else wrote may be anything, and is to be deleted all the same.
    id: Annotated[str, Meta(min_length=1)]


class DeliveriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which deliveries."""

    status: Literal["pending", "delivered", "dead"] | None = None
    limit: PageSize = PAGE


class DeliveryShown(msgspec.Struct, rename="camel"):
    """One event on its way to a receiver; dead when it was not taken within a day."""

    id: str
    event: str
    status: str
    attempts: int
    created_at: Instant
    last_attempt_at: Instant | None
    next_attempt_at: Instant | None
    last_status: int | None
    last_error: str | None


class DeliveryList(msgspec.Struct):
    """Deliveries: those that wait, the next due first, then those that ended, the last first."""

    deliveries: list[DeliveryShown]


class WebhookAnswer(msgspec.Struct):
    """How the receiver took a message: its `status` if it answered, and what went wrong if it did not take it."""

    taken: bool
    status: int | None
    error: str | None


def webhook_shown(webhook: Webhook) -> tuple[str, str, list[EventType], str, str]:
    """What every answer says of a webhook, in the order of `WebhookShown`."""
    return (webhook.webhook_id, webhook.url, [*webhook.events], rfc3339(webhook.created_at), webhook.created_by)


def delivery_shown(delivery: Delivery, status: str, due: int) -> DeliveryShown:
    """A delivery in its state; `due` in epoch seconds if it waits."""
    return DeliveryShown(
        delivery.event_id,
        delivery.event,
        status,
        delivery.attempts,
        rfc3339(delivery.created_at),
        rfc3339_or_none(delivery.last_at),
        rfc3339(due) if status == "pending" else None,
        delivery.status or None,
        delivery.error or None,
    )
