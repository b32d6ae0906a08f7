"""Webhooks: who gets events, and how their delivery went."""

from starlette.responses import Response

from service.api.admin.schemas.tokens import Message, RotateToken
from service.api.admin.schemas.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    DeliveriesQuery,
    DeliveryList,
    WebhookAnswer,
    WebhookCreated,
    WebhookList,
    WebhookStanding,
    delivery_shown,
    webhook_shown,
)
from service.api.admin.token_views import read_rotation
from service.api.auth.callers import Callers
from service.api.http.access import ADMINISTER, READ_ALL
from service.api.http.call import Call, Json, Operation, OperationGroup, convert_query
from service.api.http.timestamps import rfc3339_or_none
from service.errors import wrong
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.registry import Webhook, Webhooks
from service.tokens.webhooks.sender import Sent
from service.tokens.webhooks.trial import Trial


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
        shown = [await self._standing(webhook) for webhook in webhooks]
        tampered = [
            WebhookStanding(one, "", [], None, "", False, True, None, *await self._deliveries.standing(one))
            for one in sorted(self._webhooks.tampered)
        ]
        return Json(WebhookList(shown + tampered))

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
        known = await self._webhooks.create(wanted.url, tuple(wanted.events), caller.origin)
        return Json(WebhookCreated(*webhook_shown(known.webhook), known.secret), 201)

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
        "PATCH",
        "/api/admin/webhooks/{id}",
        ADMINISTER,
        "webhooks",
        "changeWebhook",
        body=ChangeWebhook,
        example={"isActive": False},
        answers={200: WebhookStanding, 404: None, 409: None},
    )
    async def change(self, call: Call) -> Response:
        """Switch a webhook off or on.

        One that is off is sent nothing and keeps its place in the audit log; switched on, it is told what happened
        meanwhile.
        """
        caller = await self._callers.admit(call)
        wanted = await call.json(ChangeWebhook)
        known = await self._webhooks.switch(call.path_parameters["id"], caller.origin, active=wanted.is_active)
        return Json(await self._standing(known.webhook))

    @Operation(
        "POST",
        "/api/admin/webhooks/{id}/rotate",
        ADMINISTER,
        "webhooks",
        "rotateWebhook",
        body=RotateToken,
        example={"overlapSeconds": 86400},
        answers={201: WebhookCreated, 404: None, 409: None},
    )
    async def rotate(self, call: Call) -> Response:
        """Rotate a webhook's signing secret.

        The only answer that shows the new one. For `overlapSeconds` messages are signed with both, the new one
        first; a secret from before that signs no more.
        """
        caller = await self._callers.admit(call)
        wanted = await read_rotation(call)
        known = await self._webhooks.rotate(call.path_parameters["id"], wanted.overlap_seconds, caller.origin)
        return Json(WebhookCreated(*webhook_shown(known.webhook), known.secret), 201)

    @Operation(
        "POST",
        "/api/admin/webhooks/{id}/test",
        ADMINISTER,
        "webhooks",
        "testWebhook",
        answers={200: WebhookAnswer, 404: None, 409: None},
    )
    async def test(self, call: Call) -> Response:
        """Test a webhook.

        Sends one message of the type `webhook.test` at once and waits up to 5 s for the receiver's answer. It is
        signed as any other, and is not listed or sent again.
        """
        await self._callers.admit(call)
        return _answer(await self._trial.test(call.path_parameters["id"]))

    @Operation(
        "GET",
        "/api/admin/webhooks/{id}/deliveries",
        READ_ALL,
        "webhooks",
        "listDeliveries",
        query=DeliveriesQuery,
        answers={200: DeliveryList, 404: None, 409: None},
    )
    async def deliveries(self, call: Call) -> Response:
        """List deliveries.

        Those made are listed while they are among the last hundred.
        """
        await self._callers.admit(call)
        wanted = convert_query(call, DeliveriesQuery)
        webhook_id = (await self._webhooks.find(call.path_parameters["id"])).webhook.webhook_id
        found = await self._deliveries.read(webhook_id, wanted.status, wanted.limit)
        return Json(DeliveryList([delivery_shown(delivery, status, due) for delivery, status, due in found]))

    @Operation(
        "POST",
        "/api/admin/webhooks/{id}/deliveries/{delivery}/send",
        ADMINISTER,
        "webhooks",
        "sendDeliveryAgain",
        answers={200: WebhookAnswer, 404: None, 409: None},
    )
    async def send_again(self, call: Call) -> Response:
        """Send a delivery again.

        At once, under its id, whatever became of it, and also where the webhook is switched off; waits up to 5 s for
        the receiver's answer. Taken, it is delivered and waits no longer; else nothing changes.
        """
        await self._callers.admit(call)
        return _answer(await self._trial.send_again(call.path_parameters["id"], call.path_parameters["delivery"]))

    async def _standing(self, webhook: Webhook) -> WebhookStanding:
        standing = await self._deliveries.standing(webhook.webhook_id)
        until = rfc3339_or_none(webhook.previous_until)
        return WebhookStanding(*webhook_shown(webhook), webhook.active, False, until, *standing)


def _answer(sent: Sent) -> Response:
    return Json(WebhookAnswer(sent.taken, sent.status or None, sent.error or None))
