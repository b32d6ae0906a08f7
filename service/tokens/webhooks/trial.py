"""A test message: sent to one webhook at once, so that whoever set it up sees what its receiver answers."""

from collections.abc import Callable

from service.identifiers import random_id
from service.tokens.webhooks.registry import Webhooks
from service.tokens.webhooks.sender import Sender, Sent

# Makes the body of a test message from its id and the instant, epoch seconds.
DescribeTest = Callable[[str, int], str]


class Trial:
    """Sends test messages, signed as any other; none is kept or sent again."""

    def __init__(self, webhooks: Webhooks, sender: Sender, describe: DescribeTest, clock: Callable[[], float]) -> None:
        self._webhooks = webhooks
        self._sender = sender
        self._describe = describe
        self._clock = clock

    async def send(self, webhook_id: str) -> Sent:
        """Send one, and tell how the receiver took it; five seconds at most. Raises NotFound."""
        webhook = await self._webhooks.get(webhook_id)
        message_id, now = f"test.{random_id()}", self._clock()
        secret = self._webhooks.known[webhook_id].secret
        return await self._sender.send(webhook.url, secret, message_id, self._describe(message_id, int(now)), now)
