"""The shards: which key names and which Redis node a digest, a name or an id belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.store.driver.connection import Link
from service.store.driver.keys import SHARDS, Keys, shard_of_digest, shard_of_id, shard_of_name


class Shard:
    """One hash slot of ours: its key names and the link to the node that holds it."""

    def __init__(self, index: int, keys: Keys, link: Link) -> None:
        self.index = index
        self.keys = keys
        self.link = link


class Shards:
    """All shards of a namespace. `links` holds one link per shard; on one node they are the same object."""

    def __init__(self, namespace: str, links: Sequence[Link]) -> None:
        if len(links) not in SHARDS:
            raise ValueError(f"{len(links)} shards; a namespace has one of {SHARDS}")
        self.namespace = namespace
        self._shards = tuple(Shard(index, Keys(namespace, index), link) for index, link in enumerate(links))

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[Shard]:
        return iter(self._shards)

    def __getitem__(self, index: int) -> Shard:
        return self._shards[index]

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
