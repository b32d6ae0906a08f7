"""What somebody with full access to Redis can do to the audit log, drawn at random."""

import asyncio
import random

from service.app import Service
from service.store.audit import AuditStream
from service.store.driver.keys import Stream
from service.store.driver.shards import Shard
from tests.builders import ADMIN
from tests.conftest import MakeService

Items = list[tuple[bytes, list[bytes]]]


async def write(service: Service, count: int, *, start: int = 0) -> None:
    for first in range(start, start + count, 50):
        numbers = range(first, min(first + 50, start + count))
        await asyncio.gather(
            *[service.rules.audit.log.write("export.made", ADMIN, f"user {number}") for number in numbers]
        )


async def faults(service: Service) -> list[str]:
    report = await service.rules.audit.verification.verify()
    assert report.intact == (not report.faults)
    return [fault.fault for fault in report.faults]


async def read(shard: Shard, key: bytes) -> Items:
    return [(item[0], list(item[1])) for item in await shard.link.execute("XRANGE", key, "-", "+")]


async def put(shard: Shard, key: bytes, items: Items) -> None:
    """Write a stream anew, as somebody with full access to Redis can."""
    await shard.link.execute("DEL", key)
    await asyncio.gather(*[shard.link.execute("XADD", key, entry_id, *fields) for entry_id, fields in items])


def keys_of(shard: Shard) -> tuple[bytes, bytes]:
    return shard.keys.changes, shard.keys.checkpoints(Stream.CHANGES)


class Mutation:
    """Somebody at the streams of a shard: one change, that never leaves them as they were."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.name = ""

    def apply(self, entries: Items, checkpoints: Items, strange: Items) -> tuple[Items, Items]:
        acts = (self.flip, self.delete, self.insert, self.swap, self.replace)
        act = self._random.choice(acts)
        of_checkpoints = self._random.random() < 0.3
        self.name = f"{act.__name__} of {'checkpoints' if of_checkpoints else 'entries'}"
        if of_checkpoints:
            return entries, act(checkpoints, strange)
        return act(entries, strange), checkpoints

    def flip(self, items: Items, strange: Items) -> Items:
        entry_id, fields = items.pop(place := self._random.randrange(len(items)))
        fields = list(fields)
        number = self._random.choice([index for index in range(1, len(fields), 2) if fields[index]])
        value = bytearray(fields[number])
        value[self._random.randrange(len(value))] ^= 1 << self._random.randrange(8)
        fields[number] = bytes(value)
        return [*items[:place], (entry_id, fields), *items[place:]]

    def delete(self, items: Items, strange: Items) -> Items:
        del items[self._random.randrange(len(items))]
        return items

    def insert(self, items: Items, strange: Items) -> Items:
        """A genuine entry of this stream or another one, right before some entry."""
        place = self._random.randrange(len(items))
        milliseconds, _, number = items[place][0].partition(b"-")
        before = b"%b-%d" % (milliseconds, int(number) - 1) if int(number) else b"%d-9" % (int(milliseconds) - 1)
        if place and order_of(items[place - 1][0]) >= order_of(before):
            return self.delete(items, strange)
        _, fields = self._random.choice([*items, *strange])
        return [*items[:place], (before, fields), *items[place:]]

    def swap(self, items: Items, strange: Items) -> Items:
        one, other = self._random.sample(range(len(items)), 2)
        (one_id, one_fields), (other_id, other_fields) = items[one], items[other]
        items[one], items[other] = (one_id, other_fields), (other_id, one_fields)
        return items

    def replace(self, items: Items, strange: Items) -> Items:
        place = self._random.randrange(len(items))
        items[place] = (items[place][0], self._random.choice(strange)[1])
        return items


def order_of(entry_id: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split(b"-"))


async def mutate(make_service: MakeService, namespace: str, rounds: int, seed: int) -> None:
    """Mutations of two trails under one server key: every one must be found."""
    services = [await make_service(background=False, namespace=f"{namespace}-{name}") for name in "ab"]
    trails = []
    for place, service in enumerate(services):
        shard = service.stores.shards[0]
        for turn in range(4):
            await write(service, 8, start=1000 * place + 100 * turn)
            await service.rules.audit.checkpoints.seal()
        trails.append([await read(shard, key) for key in keys_of(shard)])
        for key in keys_of(shard):
            await shard.link.execute("COPY", key, key + b":kept")
    for number in range(rounds):
        mutation = Mutation(seed + number)
        service = services[number % 2]
        shard = service.stores.shards[0]
        entries, checkpoints = trails[number % 2]
        strange = [item for items in trails[1 - number % 2] for item in items]
        mutated = mutation.apply(list(entries), list(checkpoints), strange)
        await put(shard, shard.keys.changes, mutated[0])
        await put(shard, shard.keys.checkpoints(Stream.CHANGES), mutated[1])
        report = await service.rules.audit.verification.verify()
        assert not report.intact, f"seed {seed + number}: {mutation.name} was not found"
        service.rules.audit.checkpoints.rolled_back.clear()
        for key in keys_of(shard):
            await shard.link.execute("COPY", key + b":kept", key, "REPLACE")
        await service.rules.audit.checkpoints.head(AuditStream(shard, Stream.CHANGES))
    assert [await faults(service) for service in services] == [[], []]
