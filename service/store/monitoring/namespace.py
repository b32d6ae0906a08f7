"""What a namespace was first started with and all its processes must share: the number of shards and the server key."""

import logging

from service.errors import StoreUnavailable
from service.identifiers import random_id
from service.store.driver.shards import Shards

log = logging.getLogger(__name__)


class Namespace:
    """Compares this process with the first one. `shard_fault` and `key_fault` say what differs, in one line each.

    `reset_fault`: the data that some process knew is gone, and nobody has confirmed that this is intended.
    """

    def __init__(self, shards: Shards, key_marks: tuple[bytes, ...]) -> None:
        """`key_marks` identify the present server key, then the previous one if there is one."""
        self._link = shards[0].link
        self._keys = shards[0].keys
        self._name = shards.namespace
        self._shards = str(len(shards)).encode()
        self._key_marks = key_marks
        self._settled = False
        self.shard_fault = ""
        self.key_fault = ""
        self.reset_fault = ""
        # The id of the data that this process knows; until somebody confirms a loss, that of the lost data.
        self._data: bytes | None = None

    async def check(self) -> None:
        """Compare with Redis; write what is not there yet. Raises StoreUnavailable."""
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
        """An emptied store has another id; a process that knew the one before leaves that as a note for the others.

        Once somebody has confirmed the loss, the note is the present id.
        """
        found, keys = await self._settle(self._keys.store_id, random_id().encode(), "NX"), self._keys
        if found is not None and self._data is not None and self._data != found:
            note = await self._settle(keys.reset_note, self._data, "NX")
        else:
            note = await self._link.execute("GET", keys.reset_note, retry=True)
        self.reset_fault = reset_fault(note, found)
        if self.reset_fault:
            # Also in a process that never knew these data: a backup of them may be restored.
            self._data = note
        elif note is not None or self._data is None:
            self._data = found

    async def confirm_reset(self) -> None:
        """Accept that the data was lost. Raises StoreUnavailable."""
        found = await self._settle(self._keys.store_id, random_id().encode(), "NX")
        # The note stays, because a process that notices the loss only later would leave another.
        await self._link.execute("SET", self._keys.reset_note, found or b"", retry=True)
        self._data, self.reset_fault = found, ""

    async def _check_key(self) -> None:
        place, ours = self._keys.key_mark, self._key_marks[0]
        mark = await self._settle(place, ours, "NX")
        if mark in self._key_marks[1:] and not self._settled:
            # Only at the start: during a change of keys, processes with both orders of keys run side by side, and would
            # overwrite each other's mark forever.
            mark = await self._settle(place, ours)
        self._settled = self._settled or mark == ours
        self.key_fault = key_fault(self._name, mark, self._key_marks)

    async def _settle(self, key: bytes, value: bytes, *condition: str) -> bytes | None:
        try:
            # Not one SET with NX and GET: Redis allows both together since 7.0, and the service runs on 6.2.
            await self._link.execute("SET", key, value, *condition, retry=True)
        except StoreUnavailable:
            # A full server refuses the write; what was written before counts.
            log.debug("what this namespace was started with could not be written")
        stored: bytes | None = await self._link.execute("GET", key, retry=True)
        return stored


def reset_fault(note: bytes | None, store_id: bytes | None) -> str:
    """The fault if there is a note of lost data and it is not the store's present id, else empty."""
    if note is None or note == store_id:
        return ""
    return (
        "Redis has lost the data that was there (FLUSHALL, or a start without its file): restore a backup, or, if it "
        "may be empty, `token-service confirm-reset`"
    )


def key_fault(namespace: str, mark: bytes | None, ours: tuple[bytes, ...]) -> str:
    """The fault if a namespace has a `mark` that belongs to none of our server keys, else empty."""
    if mark is None or mark in ours:
        return ""
    return (
        f"the tokens of namespace {namespace} were made under another server key: give that one as TOKENS_SECRET_KEY, "
        "or, if keys are to be changed, as TOKENS_SECRET_KEY_PREVIOUS"
    )
