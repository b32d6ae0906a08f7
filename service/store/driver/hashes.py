"""Many tokens' hashes, some fields of them or whole, read in one round trip by one command to each shard."""

import asyncio
from collections.abc import Callable, Sequence

from service.store.driver.keys import Keys
from service.store.driver.replies import Reply
from service.store.driver.scripts import Script
from service.store.driver.shards import Shard, Shards

# So many hashes are read by one script: less than a millisecond of Redis' time, for validations wait behind it.
_AT_ONCE = 100
KeyOf = Callable[[Keys, str], bytes]


class Hashes:
    """Reads what belongs to tokens, whichever shards they live in."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._some = Script("read_fields", retry=True)
        self._whole = Script("read_hashes", retry=True)

    async def read(self, token_ids: Sequence[str], key_of: KeyOf, fields: Sequence[bytes]) -> list[list[Reply]]:
        """The values of the fields for each id in order; all None where there is no hash or the id is none of ours."""
        return await self._read(self._some, token_ids, key_of, fields, [None] * len(fields))

    async def read_whole(self, token_ids: Sequence[str], key_of: KeyOf) -> list[tuple[bytes, ...]]:
        """All fields and values in turn for each id in order; nothing where there is no hash or no id of ours."""
        return list(map(tuple, await self._read(self._whole, token_ids, key_of, (), [])))

    async def _read(
        self, script: Script, token_ids: Sequence[str], key_of: KeyOf, fields: Sequence[bytes], absent: list[Reply]
    ) -> list[list[Reply]]:
        rows = [absent] * len(token_ids)
        places: dict[Shard, list[int]] = {}
        for place, token_id in enumerate(token_ids):
            shard = self._shards.of_id(token_id)
            if shard is not None:
                places.setdefault(shard, []).append(place)
        slices = [
            (shard, wanted[start : start + _AT_ONCE])
            for shard, wanted in places.items()
            for start in range(0, len(wanted), _AT_ONCE)
        ]
        replies = await asyncio.gather(
            *[
                script.run(shard.link, tuple(key_of(shard.keys, token_ids[place]) for place in wanted), *fields)
                for shard, wanted in slices
            ]
        )
        for (_, wanted), reply in zip(slices, replies, strict=True):
            for place, row in zip(wanted, reply, strict=True):
                rows[place] = row or absent
        return rows
