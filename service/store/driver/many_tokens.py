"""Reads about many tokens at once, each in its shard."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from service.store.driver.connection import Link
from service.store.driver.keys import Keys, shards_of_ids
from service.store.driver.replies import Reply, WrongType, packed
from service.store.driver.shards import Shard, Shards

# A placeholder as long as an id, of a character that no id has.
_NO_ID = 16 * "\x00"
T = TypeVar("T")
G = TypeVar("G", bound=Hashable)
R = TypeVar("R")
KeyOf = Callable[[Keys, str], bytes]


class Ahead:
    """A hash that is read before it is needed. It can be taken once, if it has arrived by then."""

    def __init__(self, token_id: str) -> None:
        self._token_id = token_id
        self._row: list[bytes] | None = None

    def answer(self, reply: Reply) -> None:
        """Keep the reply. After an error the hash is read again when it is needed, and that raises the error."""
        self._row = reply if isinstance(reply, list) else None

    def take(self, token_id: str) -> list[bytes] | None:
        """The values, or fields and values in turn; None if they did not come, were taken, or are another token's."""
        row, self._row = self._row, None
        return row if token_id == self._token_id else None


class ManyTokens:
    """Reads hashes of tokens, some fields of them or whole, and counts the members of sorted sets."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def begin(self, token_id: str, key_of: KeyOf, fields: Sequence[bytes] = ()) -> Ahead:
        """Ask for these fields of one id, or for all with their names, in the same write as the next command.

        A plain command, because merely starting a script takes Redis several times as long. Does not wait.
        """
        ahead, shard = Ahead(token_id), self._shards.of_id(token_id)
        if shard is not None:
            command = packed("HMGET" if fields else "HGETALL", key_of(shard.keys, token_id), *fields)
            shard.link.submit(command, ahead.answer, retry=True)
        return ahead

    async def read_whole(self, token_ids: Sequence[str], key_of: KeyOf) -> list[Sequence[bytes]]:
        """All fields and values in turn for each id in order; empty if there is no hash, or the id cannot be ours.

        One command for each id: a script takes Redis three times as long, because it copies all values into Lua tables.
        """
        return await self._each_by(token_ids, key_of, "HGETALL", absent=())

    async def fields(self, token_ids: Sequence[str], key_of: KeyOf, fields: Sequence[bytes]) -> list[Sequence[Reply]]:
        """The values of the fields for each id in order; all None if there is no hash, or the id cannot be ours.

        One command for each id, which takes Redis half as long as a script if most of the hashes exist.
        """
        return await self._each_by(token_ids, key_of, "HMGET", *fields, absent=[None] * len(fields))

    async def _each_by(
        self, token_ids: Sequence[str], key_of: KeyOf, command: str, *words: bytes, absent: Reply
    ) -> list[Any]:
        """The reply to an idempotent command for each key."""
        if len(token_ids) == 1:
            return [await self._one(token_ids[0], key_of, command, *words) or absent]
        slices, asked = self._slices(token_ids), []
        for shard, wanted in slices:
            # The commands differ only in the id.
            opening, _, end = packed(command, key_of(shard.keys, _NO_ID), *words).partition(_NO_ID.encode())
            asked.append(_each(shard.link, [b"%b%b%b" % (opening, token_ids[place].encode(), end) for place in wanted]))
        return _in_places(len(token_ids), slices, await all_of(asked), absent)

    async def _one(self, token_id: str, key_of: KeyOf, command: str, *fields: bytes) -> Reply:
        """The reply for one id; empty if there is none."""
        shard = self._shards.of_id(token_id)
        if shard is None:
            return ()
        (reply,) = await _each(shard.link, [packed(command, key_of(shard.keys, token_id), *fields)])
        return reply or ()

    async def count(self, token_ids: Sequence[str], key_of: KeyOf, least: str, greatest: str) -> list[int]:
        """How many members of each id's sorted set, in order, have a score between these.

        0 for an id that cannot be ours, and if somebody else keeps another type under the key.
        """
        return await self._each_by(token_ids, key_of, "ZCOUNT", least.encode(), greatest.encode(), absent=0)

    def _slices(self, token_ids: Sequence[str]) -> list[tuple[Shard, list[int]]]:
        """The places of the ids by shard."""
        count = len(self._shards)
        indexes = shards_of_ids(token_ids, count)
        if count == 1 and indexes and None not in indexes:
            return [(self._shards[0], list(range(len(indexes))))]
        places: list[list[int]] = [[] for _ in range(count)]
        for place, index in enumerate(indexes):
            if index is not None:
                places[index].append(place)
        return [(shard, wanted) for shard, wanted in zip(self._shards, places, strict=True) if wanted]


def _in_places(
    count: int, slices: Sequence[tuple[Shard, list[int]]], replies: Sequence[Sequence[Reply]], absent: Reply
) -> list[Any]:
    """The replies to all slices, in the order of all ids; `absent` for an empty reply."""
    if len(slices) == 1 and len(replies[0]) == count:
        return [row or absent for row in replies[0]]
    rows = [absent] * count
    for (_, wanted), told in zip(slices, replies, strict=True):
        for place, row in zip(wanted, told, strict=True):
            rows[place] = row or absent
    return rows


async def by_group(
    items: Sequence[T], group_of: Callable[[T], G], ask: Callable[[G, list[T]], Awaitable[list[R]]]
) -> list[R]:
    """One result for each item, in the order of the items; `ask` is called once for each group of them."""
    if len(items) == 1:
        return await ask(group_of(items[0]), [items[0]])
    places: dict[G, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(group_of(item), []).append(place)
    asked = [ask(group, [items[place] for place in those]) for group, those in places.items()]
    answers = await all_of(asked)
    found = dict(zip(chain.from_iterable(places.values()), chain.from_iterable(answers), strict=True))
    return [found[place] for place in range(len(items))]


async def all_of(asked: Sequence[Awaitable[T]]) -> Sequence[T]:
    """Await all. `gather` makes tasks and costs a turn of the event loop, which is saved for a single awaitable."""
    return [await one for one in asked] if len(asked) < 2 else await asyncio.gather(*asked)


def _each(link: Link, commands: Sequence[bytes]) -> asyncio.Future[list[Reply]]:
    """The replies to packed, idempotent commands; None if the key holds another type.

    One future for all commands. It raises the first failure of one of them.
    """
    asked: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
    replies: list[Reply] = [None] * len(commands)
    waiting = len(commands)

    def take(place: int, reply: Reply) -> None:
        nonlocal waiting
        waiting -= 1
        if asked.done():
            return
        # Somebody else may keep something under a key of ours, and a whole list must not fail because of that.
        if isinstance(reply, Exception) and not isinstance(reply, WrongType):
            asked.set_exception(reply)
            return
        replies[place] = None if isinstance(reply, WrongType) else reply
        if not waiting:
            asked.set_result(replies)

    for place, command in enumerate(commands):
        link.submit(command, partial(take, place), retry=True)
    return asked
