"""Requests that their clients may repeat, remembered for ten minutes."""

from service.store.driver.scripts import Script
from service.store.driver.shards import Shards

KEEP_MILLISECONDS = 10 * 60 * 1000


class RequestStore:
    """A request is kept in the shard of its own digest, because a repeat may ask for something else."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._reserve = Script("reserve_request", retry=True)

    async def find(self, request: bytes) -> bytes | None:
        """The words remembered for a request, None if there are none. One round trip."""
        shard = self._shards.of_digest(request)
        stand: bytes | None = await shard.link.execute("GET", shard.keys.request(request), retry=True)
        return stand

    async def reserve(self, request: bytes, words: bytes) -> bytes:
        """Remember `words` for a request unless it has some already. Returns the words it has then. One round trip."""
        shard = self._shards.of_digest(request)
        stand: bytes = await self._reserve.run(shard.link, (shard.keys.request(request),), words, KEEP_MILLISECONDS)
        return stand
