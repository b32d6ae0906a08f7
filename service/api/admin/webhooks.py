"""Webhooks: which receivers get events, and how their deliveries went."""

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
    """Where to send which events. The address must be public and https."""

    # The pattern admits http because TOKENS_WEBHOOK_ALLOW_PRIVATE may allow it; ssrf.py decides what is allowed.
    url: Annotated[str, Meta(min_length=1, max_length=2048, extra_json_schema={"pattern": "^https?://[!-~]+$"})]
    events: Annotated[list[EventType], Meta(min_length=1, max_length=len(EventType))]


class WebhookShown(msgspec.Struct, rename="camel"):
    """A receiver of events. Of a tampered one only the id is known."""

    id: str
    url: str
    events: list[EventType]
    created_at: Instant | None
    created_by: str


class WebhookCreated(WebhookShown, rename="camel"):
    """A receiver and the secret that signs its messages, shown only this once."""

    secret: str


class WebhookStanding(WebhookShown, rename="camel"):
    """A receiver and its progress: deliveries that wait for a retry, changes of any kind not yet read for it, and
    changes that were trimmed from the log before they were read for it. Before Redis 7.0 the last two are always 0.

    Until `previousSecretUntil` the secret before the last rotation signs too. A `tampered` webhook, whose record was
    changed outside the service, is sent nothing and can only be deleted.
    """

    is_active: bool
    tampered: bool
    previous_secret_until: Instant | None
    waiting: int
    unread: int
    dropped: int


class ChangeWebhook(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Whether the receiver is sent events."""

    is_active: bool


class WebhookList(msgspec.Struct):
    """All receivers."""

    webhooks: list[WebhookStanding]


class DeletedQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which webhook to delete."""

    # Any text is allowed: a record that somebody else wrote may have any id, and it must be possible to delete it.
    id: Annotated[str, Meta(min_length=1, description="of the webhook")]


class DeliveriesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which deliveries."""

    status: Literal["pending", "delivered", "dead"] | None = None
    limit: PageSize = PAGE


class DeliveryShown(msgspec.Struct, rename="camel"):
    """One event on its way to a receiver: `pending`, `delivered`, or `dead` if it was not accepted within a day."""

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
    """Deliveries: first the waiting ones, the next due first; then the ended ones, the latest first."""

    deliveries: list[DeliveryShown]


class WebhookAnswer(msgspec.Struct):
    """How the receiver reacted: its `status` if it answered, and the fault if it did not accept the message."""

    taken: bool
    status: int | None
    error: str | None


class WebhooksApi(OperationGroup, tag="webhooks"):
    """Lists, adds and removes receivers, and shows the state of their deliveries."""

    _webhooks: Webhooks
    _deliveries: DeliveryLog

    @Operation("GET", "/api/admin/webhooks", READ_ALL, "listWebhooks")
    async def list(self, caller: Caller) -> WebhookList:
        """List webhooks."""
        # This process may be a second behind, and lack a webhook that was just added through another process.
        await self._webhooks.refresh()
        webhooks = [known.webhook for known in self._webhooks.known.values()]
        webhooks.sort(key=lambda webhook: (webhook.since, webhook.webhook_id))
        shown = [await self._standing(webhook) for webhook in webhooks]
        # Nothing in a tampered record can be trusted: these come last, with only their id.
        tampered = [
            WebhookStanding(one, "", [], None, "", False, True, None, *await self._deliveries.standing(one))
            for one in sorted(self._webhooks.tampered)
        ]
        return WebhookList(shown + tampered)

    @issues("/api/admin/webhooks", ADMINISTER, "createWebhook", problems=(409,))
    async def create(self, call: Call, caller: Caller, body: CreateWebhook) -> WebhookCreated:
        """Create a webhook.

        Only this answer shows the signing secret. Messages follow Standard Webhooks. Each is sent at least once; their
        order is not guaranteed. With an Idempotency-Key, a repeat within ten minutes adds no second webhook and answers
        the same secret.
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

        A webhook that is off is sent nothing and keeps its place in the audit log. Switched on again, it is sent what
        happened meanwhile.
        """
        known = await self._webhooks.switch(webhook_id, caller.origin, active=body.is_active)
        return await self._standing(known.webhook)

    @issues("/api/admin/webhooks/{id}/rotate", ADMINISTER, "rotateWebhook", body_optional=True, problems=(404, 409))
    async def rotate(self, call: Call, caller: Caller, webhook_id: PathId, body: RotateToken) -> WebhookCreated:
        """Rotate a webhook's signing secret.

        Only this answer shows the new secret. For `overlapSeconds` messages are signed with both secrets, the new one
        first; any earlier secret no longer signs. With an Idempotency-Key, a repeat within ten minutes answers the
        same secret. Once the webhook is deleted, every request is 404, whatever its key.
        """
        known = await self._webhooks.rotate(webhook_id, body.overlap_seconds, caller.origin, repeatable(call, body))
        return WebhookCreated(*_named(known.webhook), known.secret)

    @Operation("POST", "/api/admin/webhooks/{id}/test", ADMINISTER, "testWebhook", problems=(404, 409))
    async def test(self, caller: Caller, webhook_id: PathId) -> WebhookAnswer:
        """Test a webhook.

        Sends one message of the type `webhook.test` at once and waits up to 5 s for the receiver's answer. It is
        signed like any message, but is neither listed nor sent again.
        """
        return _told(await self._deliveries.test(webhook_id))

    @Operation("GET", "/api/admin/webhooks/{id}/deliveries", READ_ALL, "listDeliveries", problems=(404, 409))
    async def deliveries(self, caller: Caller, webhook_id: PathId, query: DeliveriesQuery) -> DeliveryList:
        """List deliveries.

        Those that wait and those that ended; a delivered one is listed while it is among the last hundred.
        """
        # Raises NotFound, because an empty list would read as if nothing had been sent.
        await self._webhooks.find(webhook_id)
        found = await self._deliveries.read(webhook_id, query.status, query.limit)
        return DeliveryList([_delivery(delivery, status, due) for delivery, status, due in found])

    @Operation("POST", _SEND_PATH, ADMINISTER, "sendDeliveryAgain", problems=(404, 409))
    async def send_again(self, call: Call, caller: Caller, webhook_id: PathId) -> WebhookAnswer:
        """Send a delivery again.

        Sends it at once under its id, in any state, even when the webhook is switched off, and waits up to 5 s for the
        receiver's answer. If the receiver accepts it, it is delivered and no longer waits; otherwise nothing changes.
        """
        return _told(await self._deliveries.send_again(webhook_id, call.path_parameters["delivery"]))

    async def _standing(self, webhook: Webhook) -> WebhookStanding:
        standing = await self._deliveries.standing(webhook.webhook_id)
        until = rfc3339_or_none(webhook.previous_until)
        return WebhookStanding(*_named(webhook), webhook.active, False, until, *standing)


def _told(sent: Sent) -> WebhookAnswer:
    return WebhookAnswer(sent.taken, sent.status or None, sent.error or None)


def _named(webhook: Webhook) -> tuple[str, str, list[EventType], str, str]:
    # The order of the fields of `WebhookShown`.
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
