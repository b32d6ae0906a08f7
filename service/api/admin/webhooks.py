"""Webhooks: who gets events, and how their delivery went."""

from service.api.admin.idempotency import issues, repeatable
from service.api.admin.schemas.tokens import Message, RotateToken
from service.api.admin.schemas.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    DeletedQuery,
    DeliveriesQuery,
    DeliveryList,
    WebhookAnswer,
    WebhookCreated,
    WebhookList,
    WebhookStanding,
    delivery_shown,
    webhook_shown,
)
from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER, READ_ALL
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup, PathId
from service.api.http.timestamps import rfc3339_or_none
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.registry import Webhook, Webhooks
from service.tokens.webhooks.sender import Sent


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
        return WebhookCreated(*webhook_shown(known.webhook), known.secret)

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
        answers the same secret.
        """
        known = await self._webhooks.rotate(webhook_id, body.overlap_seconds, caller.origin, repeatable(call, body))
        return WebhookCreated(*webhook_shown(known.webhook), known.secret)

    @Operation("POST", "/api/admin/webhooks/{id}/test", ADMINISTER, "testWebhook", problems=(404, 409))
    async def test(self, caller: Caller, webhook_id: PathId) -> WebhookAnswer:
        """Test a webhook.

        Sends one message of the type `webhook.test` at once and waits up to 5 s for the receiver's answer. It is
        signed as any other, and is not listed or sent again.
        """
        return _answer(await self._deliveries.test(webhook_id))

    @Operation("GET", "/api/admin/webhooks/{id}/deliveries", READ_ALL, "listDeliveries", problems=(404, 409))
    async def deliveries(self, caller: Caller, webhook_id: PathId, query: DeliveriesQuery) -> DeliveryList:
        """List deliveries.

        Those made are listed while they are among the last hundred.
        """
        # Raises NotFound: an empty list would read as if nothing had been sent.
        await self._webhooks.find(webhook_id)
        found = await self._deliveries.read(webhook_id, query.status, query.limit)
        return DeliveryList([delivery_shown(delivery, status, due) for delivery, status, due in found])

    @Operation(
        "POST",
        "/api/admin/webhooks/{id}/deliveries/{delivery}/send",
        ADMINISTER,
        "sendDeliveryAgain",
        problems=(404, 409),
    )
    async def send_again(self, call: Call, caller: Caller, webhook_id: PathId) -> WebhookAnswer:
        """Send a delivery again.

        At once, under its id, whatever became of it, and also where the webhook is switched off; waits up to 5 s for
        the receiver's answer. Taken, it is delivered and waits no longer; else nothing changes.
        """
        return _answer(await self._deliveries.send_again(webhook_id, call.path_parameters["delivery"]))

    async def _standing(self, webhook: Webhook) -> WebhookStanding:
        standing = await self._deliveries.standing(webhook.webhook_id)
        until = rfc3339_or_none(webhook.previous_until)
        return WebhookStanding(*webhook_shown(webhook), webhook.active, False, until, *standing)


def _answer(sent: Sent) -> WebhookAnswer:
    return WebhookAnswer(sent.taken, sent.status or None, sent.error or None)
