"""Messages that a person has sent: a test, or a delivery once more; at once, so that the receiver's answer is seen."""

from collections.abc import Callable

from service.identifiers import random_id
from service.tokens.webhooks.delivery import Outcome
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.receiver import Post
from service.tokens.webhooks.registry import Webhooks
from service.tokens.webhooks.sender import Sent

# Makes the body of a test message from its id and the instant, epoch seconds.
DescribeTest = Callable[[str, int], str]


class Trial:
    """Sends such messages, signed as any other, also to a receiver that is switched off."""

    def __init__(self, webhooks: Webhooks, post: Post, deliveries: DeliveryLog, describe: DescribeTest) -> None:
        self._webhooks = webhooks
        self._post = post
        self._deliveries = deliveries
        self._describe = describe

    async def test(self, webhook_id: str) -> Sent:
        """Send a test message, which is not kept, and tell how the receiver took it; five seconds at most.

        Raises NotFound, Conflict `record_tampered`.
        """
        known = await self._webhooks.find(webhook_id)
        message_id, now = f"test.{random_id()}", self._post.clock()
        body = self._describe(message_id, int(now))
        return await self._post.sender.send(known.webhook.url, known.secrets(now), message_id, body, now)

    async def send_again(self, webhook_id: str, event_id: str) -> Sent:
        """Send a delivery once more, whatever became of it, and tell how the receiver took it.

        Taken, it counts as made and waits no longer; else nothing changes. Raises NotFound, Conflict `record_tampered`.
        """
        known = await self._webhooks.find(webhook_id)
        found = await self._deliveries.find(webhook_id, event_id)
        sent, delivery = await self._post.attempt(known, found.delivery, self._post.clock())
        self._post.on_attempts(Outcome.DELIVERED if sent.taken else Outcome.FAILED, 1)
        # Deleted while it was sent to: what is written now would stay.
        if sent.taken and webhook_id in self._webhooks.known:
            made = self._post.seal.seal(webhook_id, delivery)
            await self._post.outbox.replace(found.shard, webhook_id, event_id, found.record, made)
        return sent
