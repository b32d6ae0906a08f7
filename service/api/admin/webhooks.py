"""Webhooks: who gets events, and how their delivery went."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.api.admin.idempotency import issues, repeatable
from service.api.admin.schemas.tokens import Message, RotateToken
from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER, READ_ALL
from service.api.http.call import PAGE, Call, PageSize
from service.api.http.operation import Operation, OperationGroup, PathId
from service.api.http.timestamps import Instant, rfc3339, rfc3339_or_none
from service.tokens.webhooks.delivery import Delivery
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.events import EventType
from service.tokens.webhooks.registry import Webhook, Webhooks
from service.tokens.webhooks.sender import Sent

_SEND_PATH = "/api/admin/webhooks/{id}/deliveries/{delivery}/send"


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
    read for it yet, and changes that were trimmed from the log before it had room for them. Redis before 7.0 counts
    neither of the latter two: they are 0 there.

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
    id: Annotated[str, Meta(min_length=1, description="of the webhook")]


class DeliveriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which deliveries."""

    status: Literal["pending", "delivered", "dead"] | None = None
    limit: PageSize = PAGE


class DeliveryShown(msgspec.Struct, rename="camel"):
    """One event on its way to a receiver: `pending`, `delivered`, or `dead` when it was not taken within a day."""

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


class WebhooksApi(OperationGroup, tag="webhooks"):
    """Lists, adds and removes receivers, and shows what became of their messages."""

    _webhooks: Webhooks
    _deliveries: DeliveryLog

    @Operation("GET", "/api/admin/webhooks", READ_ALL, "listWebhooks")
    async def list(self, caller: Caller) -> WebhookList:
        """List webhooks."""
        # What this process knows may be a second old, and lack the one that was just added through another.
        await self._webhooks.refresh()
        webhooks = [known.webhook for known in self._webhooks.known.values()]
        webhooks.sort(key=lambda webhook: (webhook.since, webhook.webhook_id))
        shown = [await self._standing(webhook) for webhook in webhooks]
        # Nothing that their records say can be believed: they stand last, with their id alone.
        tampered = [
            WebhookStanding(one, "", [], None, "", False, True, None, *await self._deliveries.standing(one))
            for one in sorted(self._webhooks.tampered)
        ]
        return WebhookList(shown + tampered)

    @issues("/api/admin/webhooks", ADMINISTER, "createWebhook", problems=(409,))
    async def create(self, call: Call, caller: Caller, body: CreateWebhook) -> WebhookCreated:
        """Create a webhook.

        The only answer that shows its signing secret. Messages are as Standard Webhooks has them; each is sent
        at least once, in no certain order. With an Idempotency-Key a repeat within ten minutes adds no second one and
        answers the same secret.
        """
        known = await self._webhooks.create(body.url, tuple(body.events), caller.origin, repeatable(call, body))
        return WebhookCreated(*_named(known.webhook), known.secret)

    @Operation("DELETE", "/api/admin/webhooks", ADMINISTER, "deleteWebhook", problems=(404,))
    async def delete(self, caller: Caller, query: DeletedQuery) -> Message:
        """Delete a webhook."""
        await self._webhooks.delete(query.id, caller.origin)
        return Message("Webhook deleted successfully")

    @Operation("PATCH", "/api/admin/webhooks/{id}", ADMINISTER, "changeWebhook", problems=(404, 409))
    async def change(self, caller: Caller, webhook_id: PathId, body: ChangeWebhook) -> WebhookStanding:
        """Switch a webhook off or on.

        One that is off is sent nothing and keeps its place in the audit log; switched on, it is told what happened
        meanwhile.
        """
        known = await self._webhooks.switch(webhook_id, caller.origin, active=body.is_active)
        return await self._standing(known.webhook)

    @issues("/api/admin/webhooks/{id}/rotate", ADMINISTER, "rotateWebhook", body_optional=True, problems=(404, 409))
    async def rotate(self, call: Call, caller: Caller, webhook_id: PathId, body: RotateToken) -> WebhookCreated:
        """Rotate a webhook's signing secret.

        The only answer that shows the new one. For `overlapSeconds` messages are signed with both, the new one
        first; a secret from before that signs no more. With an Idempotency-Key a repeat within ten minutes
        answers the same secret; 404 once the webhook is deleted, for whatever key.
        """
        known = await self._webhooks.rotate(webhook_id, body.overlap_seconds, caller.origin, repeatable(call, body))
        return WebhookCreated(*_named(known.webhook), known.secret)

    @Operation("POST", "/api/admin/webhooks/{id}/test", ADMINISTER, "testWebhook", problems=(404, 409))
    async def test(self, caller: Caller, webhook_id: PathId) -> WebhookAnswer:
        """Test a webhook.

        Sends one message of the type `webhook.test` at once and waits up to 5 s for the receiver's answer. It is
        signed as any other, and is not listed or sent again.
        """
        return _told(await self._deliveries.test(webhook_id))

    @Operation("GET", "/api/admin/webhooks/{id}/deliveries", READ_ALL, "listDeliveries", problems=(404, 409))
    async def deliveries(self, caller: Caller, webhook_id: PathId, query: DeliveriesQuery) -> DeliveryList:
        """List deliveries.

        Those made are listed while they are among the last hundred.
        """
        # Raises NotFound: an empty list would read as if nothing had been sent.
        await self._webhooks.find(webhook_id)
        found = await self._deliveries.read(webhook_id, query.status, query.limit)
        return DeliveryList([_delivery(delivery, status, due) for delivery, status, due in found])

    @Operation("POST", _SEND_PATH, ADMINISTER, "sendDeliveryAgain", problems=(404, 409))
    async def send_again(self, call: Call, caller: Caller, webhook_id: PathId) -> WebhookAnswer:
        """Send a delivery again.

        At once, under its id, whatever became of it, and also where the webhook is switched off; waits up to 5 s for
        the receiver's answer. Taken, it is delivered and waits no longer; else nothing changes.
        """
        return _told(await self._deliveries.send_again(webhook_id, call.path_parameters["delivery"]))

    async def _standing(self, webhook: Webhook) -> WebhookStanding:
        standing = await self._deliveries.standing(webhook.webhook_id)
        until = rfc3339_or_none(webhook.previous_until)
        return WebhookStanding(*_named(webhook), webhook.active, False, until, *standing)


def _told(sent: Sent) -> WebhookAnswer:
    return WebhookAnswer(sent.taken, sent.status or None, sent.error or None)


def _named(webhook: Webhook) -> tuple[str, str, list[EventType], str, str]:
    # In the order of `WebhookShown`.
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
