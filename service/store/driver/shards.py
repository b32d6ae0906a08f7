"""The shards: which key names and which Redis node a digest, a name or an id belongs to."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from functools import partial

from service.store.driver.confirmation import MEMORY, Confirmation
from service.store.driver.connection import Link
from service.store.driver.keys import SHARDS, Keys, shard_of_digest, shard_of_id, shard_of_name
from service.store.driver.removals import Removals

log = logging.getLogger(__name__)
# How many removals a process remembers at most, to send them to the next primary.
_REMEMBERED = 10_000


class Shard:
    """One shard, which is one hash slot: its key names, the link to its node, and the link for removals."""

    def __init__(self, index: int, keys: Keys, link: Link, removals: Removals) -> None:
        self.index = index
        self.keys = keys
        self.link = link
        self.removals = removals


class Shards:
    """All shards of a namespace. `links` holds one link per shard; on one node they are the same object."""

    def __init__(self, namespace: str, links: Sequence[Link], confirmation: Confirmation = MEMORY) -> None:
        """`confirmation`: how removals are confirmed."""
        if len(links) not in SHARDS:
            raise ValueError(f"{len(links)} shards; a namespace has one of {SHARDS}")
        self.namespace = namespace
        each = partial(Removals, confirmation=confirmation, remembered=_REMEMBERED // len(links))
        keys = [Keys(namespace, index) for index in range(len(links))]
        self._shards = tuple(
            Shard(index, names, link, each(link, names.mark))
            for index, (names, link) in enumerate(zip(keys, links, strict=True))
        )

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[Shard]:
        return iter(self._shards)

    def __getitem__(self, index: int) -> Shard:
        return self._shards[index]

    async def send_removals_again(self) -> None:
        """Send recent removals to each new primary. Raises StoreUnavailable if one of them did not take them."""
        due = [one.removals for one in self._shards if one.removals.is_due_again]
        # One line in the log for all shards.
        if any(await asyncio.gather(*[removals.send_again() for removals in due])):
            log.warning("another primary: what was ended in the last ten minutes was sent to it once more")

    def of_digest(self, digest: bytes) -> Shard:
        """Where the record of this digest lives."""
        return self._shards[shard_of_digest(digest, len(self._shards))]

    def of_name(self, name: str) -> Shard:
        """Where this name is unique."""
        return self._shards[shard_of_name(name, len(self._shards))]

    def of_id(self, token_id: str) -> Shard | None:
        """Where this managed token lives; None for an id that cannot be one of ours."""
        index = shard_of_id(token_id, len(self._shards))
        return None if index is None else self._shards[index]
