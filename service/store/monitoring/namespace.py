"""What a namespace was first started with, and every process of it must share: its shards and its server key."""

import logging

from service.errors import StoreUnavailable
from service.identifiers import random_id
from service.store.driver.shards import Shards

log = logging.getLogger(__name__)


class Namespace:
    """Compares this process with the first one. `shard_fault` and `key_fault` say what differs, in one line each.

    `reset_fault`: the data that some process knew is gone, and nobody has said yet that this is meant.
    """

    def __init__(self, shards: Shards, key_marks: tuple[bytes, ...]) -> None:
        """`key_marks`: what tells the present server key, then the previous one if there is one, from any other."""
        self._link = shards[0].link
        self._keys = shards[0].keys
        self._name = shards.namespace
        self._shards = str(len(shards)).encode()
        self._key_marks = key_marks
        self._settled = False
        self.shard_fault = ""
        self.key_fault = ""
        self.reset_fault = ""
        self._store_id: bytes | None = None

    async def check(self) -> None:
        """Compare; what nobody has settled yet is settled. Raises StoreUnavailable."""
        shards = await self._settle(self._keys.meta, self._shards, "NX")
        self.shard_fault = ""
        if shards not in (None, self._shards):
            self.shard_fault = (
                f"namespace {self._name} was first started with {shards.decode(errors='replace')} shards, "
                f"this configuration has {self._shards.decode()}: set another TOKENS_NAMESPACE"
            )
        await self._check_key()
        await self._check_data()

    async def _check_data(self) -> None:
        """A store that was emptied has lost its id; whoever knew that one leaves a note for the others."""
        found = await self._settle(self._keys.store_id, random_id().encode(), "NX")
        # This process has seen another id here: everything that was written with it is gone.
        if found is not None and self._store_id not in (None, found):
            await self._settle(self._keys.reset_note, found)
        self._store_id = found or self._store_id
        self.reset_fault = reset_fault(await self._link.execute("GET", self._keys.reset_note, retry=True))

    async def confirm_reset(self) -> None:
        """Somebody says that the store may be as empty as it is. Raises StoreUnavailable."""
        await self._link.execute("DEL", self._keys.reset_note, retry=True)
        self.reset_fault = ""

    async def _check_key(self) -> None:
        place, ours = self._keys.key_mark, self._key_marks[0]
        mark = await self._settle(place, ours, "NX")
        if mark in self._key_marks[1:] and not self._settled:
            # At the start alone: while keys are changed, processes that have them in both orders run side by side,
            # and would take it from each other for ever.
            mark = await self._settle(place, ours)
        self._settled = self._settled or mark == ours
        self.key_fault = key_fault(self._name, mark, self._key_marks)

    async def _settle(self, key: bytes, value: bytes, *condition: str) -> bytes | None:
        try:
            # Not SET with NX and GET in one: Redis takes them together since 7.0, and the service runs on 6.2.
            await self._link.execute("SET", key, value, *condition, retry=True)
        except StoreUnavailable:
            # A full server refuses the write; what was settled before counts.
            log.debug("what this namespace was started with could not be written")
        stored: bytes | None = await self._link.execute("GET", key, retry=True)
        return stored


def reset_fault(note: bytes | None) -> str:
    """What to say where there is a note of lost data."""
    if note is None:
        return ""
    return (
        "Redis has lost the data that was there (FLUSHALL, or a start without its file): restore a backup, or, if it "
        "may be empty, `token-service confirm-reset`"
    )


def key_fault(namespace: str, mark: bytes | None, ours: tuple[bytes, ...]) -> str:
    """What to say of the mark that a namespace has, beside those of our server keys; empty if it is one of them."""
    if mark is None or mark in ours:
        return ""
    return (
        f"the tokens of namespace {namespace} were made under another server key: give that one as TOKENS_SECRET_KEY, "
        "or, if keys are to be changed, as TOKENS_SECRET_KEY_PREVIOUS"
    )
