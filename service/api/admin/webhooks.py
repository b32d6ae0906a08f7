"""Webhooks: who gets events, and how their delivery went."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from service.api.admin.schemas.tokens import Message
from service.api.auth.callers import Callers
from service.api.http.access import ADMINISTER, READ_ALL
from service.api.http.call import Call, Json, Operation, OperationGroup, convert_query
from service.api.http.timestamps import Instant, rfc3339, rfc3339_or_none
from service.errors import wrong
from service.tokens.webhooks.delivery import Delivery
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.events import EventType
from service.tokens.webhooks.registry import Known, Webhook, Webhooks
from service.tokens.webhooks.trial import Trial

_LARGEST_PAGE = 200


class CreateWebhook(msgspec.Struct, forbid_unknown_fields=True):
    """Where to send which events; the address must be public and https."""

    url: Annotated[str, Meta(min_length=1, max_length=2048, extra_json_schema={"pattern": "^https?://[!-~]+$"})]
    events: Annotated[list[EventType], Meta(min_length=1, max_length=len(EventType))]


class WebhookShown(msgspec.Struct, rename="camel"):
    """A receiver of events."""

    id: str
    url: str
    events: list[EventType]
    created_at: Instant
    created_by: str


class WebhookCreated(WebhookShown, rename="camel"):
    """A receiver with the secret its messages are signed with, shown this once."""

    secret: str


class WebhookStanding(WebhookShown, rename="camel"):
    """A receiver and how far it is: deliveries that wait to be sent again, changes of any kind that were not
    read for it yet, and changes that were trimmed from the log before it had room for them."""

    waiting: int
    unread: int
    dropped: int


class WebhookList(msgspec.Struct):
    """All receivers."""

    webhooks: list[WebhookStanding]


class DeliveriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which deliveries."""

    status: Literal["pending", "delivered", "dead"] | None = None
    limit: Annotated[int, Meta(ge=1, le=_LARGEST_PAGE)] = 50


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


class WebhookTested(msgspec.Struct):
    """How the receiver took a test message: its `status` if it answered, and what went wrong if it did not take it."""

    taken: bool
    status: int | None
    error: str | None


class WebhooksApi(OperationGroup):
    """Lists, adds and removes receivers, and shows what became of their messages."""

    def __init__(self, webhooks: Webhooks, deliveries: DeliveryLog, trial: Trial, callers: Callers) -> None:
        self._webhooks = webhooks
        self._deliveries = deliveries
        self._trial = trial
        self._callers = callers

    @Operation("GET", "/api/admin/webhooks", READ_ALL, "webhooks", "listWebhooks", answers={200: WebhookList})
    async def list(self, call: Call) -> Response:
        """List webhooks."""
        await self._callers.admit(call)
        await self._webhooks.refresh()
        webhooks = [known.webhook for known in self._webhooks.known.values()]
        webhooks.sort(key=lambda webhook: (webhook.since, webhook.webhook_id))
        standings = [await self._deliveries.standing(webhook.webhook_id) for webhook in webhooks]
        each = zip(webhooks, standings, strict=True)
        return Json(WebhookList([WebhookStanding(*_shown(webhook), *standing) for webhook, standing in each]))

    @Operation(
        "POST",
        "/api/admin/webhooks",
        ADMINISTER,
        "webhooks",
        "createWebhook",
        body=CreateWebhook,
        example={"url": "https://hooks.example.com/tokens", "events": ["token.revoked"]},
        answers={201: WebhookCreated, 409: None},
    )
    async def create(self, call: Call) -> Response:
        """Create a webhook.

        The only answer that shows its signing secret. Messages are as Standard Webhooks has them; each is sent
        at least once, in no certain order.
        """
        caller = await self._callers.admit(call)
        wanted = await call.json(CreateWebhook)
        known: Known = await self._webhooks.create(wanted.url, tuple(wanted.events), caller.origin)
        return Json(WebhookCreated(*_shown(known.webhook), known.secret), 201)

    @Operation(
        "DELETE",
        "/api/admin/webhooks",
        ADMINISTER,
        "webhooks",
        "deleteWebhook",
        query={"id": str},
        answers={200: Message, 404: None},
    )
    async def delete(self, call: Call) -> Response:
        """Delete a webhook."""
        caller = await self._callers.admit(call)
        webhook_id = call.parameter("id")
        if not webhook_id:
            raise wrong("id", "say which webhook to delete: ?id=")
        await self._webhooks.delete(webhook_id, caller.origin)
        return Json(Message("Webhook deleted successfully"))

    @Operation(
        "POST",
        "/api/admin/webhooks/{id}/test",
        ADMINISTER,
        "webhooks",
        "testWebhook",
        answers={200: WebhookTested, 404: None},
    )
    async def test(self, call: Call) -> Response:
        """Test a webhook.

        Sends one message of the type `webhook.test` at once and waits up to 5 s for the receiver's answer. It is
        signed as any other, and is not listed or sent again.
        """
        await self._callers.admit(call)
        sent = await self._trial.send(call.path_parameters["id"])
        return Json(WebhookTested(sent.taken, sent.status or None, sent.error or None))

    @Operation(
        "GET",
        "/api/admin/webhooks/{id}/deliveries",
        READ_ALL,
        "webhooks",
        "listDeliveries",
        query=DeliveriesQuery,
        answers={200: DeliveryList, 404: None},
    )
    async def deliveries(self, call: Call) -> Response:
        """List deliveries.

        Those made are listed while they are among the last hundred.
        """
        await self._callers.admit(call)
        wanted = convert_query(call, DeliveriesQuery)
        webhook = await self._webhooks.get(call.path_parameters["id"])
        found = await self._deliveries.read(webhook.webhook_id, wanted.status, wanted.limit)
        return Json(DeliveryList([_delivery(delivery, status, due) for delivery, status, due in found]))


def _shown(webhook: Webhook) -> tuple[str, str, list[EventType], str, str]:
    return (webhook.webhook_id, webhook.url, [*webhook.events], rfc3339(webhook.created_at), webhook.created_by)


def _delivery(delivery: Delivery, status: str, due: int) -> DeliveryShown:
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
