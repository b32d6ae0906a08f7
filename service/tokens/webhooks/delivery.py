"""One event on its way to one webhook: its sealed record, how an attempt ended, and when the next one is due."""

from enum import StrEnum
from zlib import crc32

import msgspec

from service.keyring import Keyring

GIVE_UP_SECONDS = 86400
_FIRST_PAUSE_SECONDS = 5
_LONGEST_PAUSE_SECONDS = 7200


class Delivery(msgspec.Struct, frozen=True):
    """One event on its way to one webhook. Instants in epoch seconds; `status` 0 without an answer.

    `wait`: for how many seconds the receiver wants to be left alone.
    """

    event_id: str
    event: str
    body: str
    created_at: int
    attempts: int = 0
    last_at: int = 0
    status: int = 0
    error: str = ""
    wait: int = 0


class Outcome(StrEnum):
    """How an attempt ended: taken, to be tried again, or never again."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GIVEN_UP = "given_up"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Delivery).decode


class DeliverySeal:
    """Writes and reads the records of deliveries, bound to their webhook."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def seal(self, webhook_id: str, delivery: Delivery) -> bytes:
        """The record of a delivery."""
        return self._keyring.seal(_bound(webhook_id), _encode(delivery))

    def open(self, webhook_id: str, record: bytes) -> Delivery | None:
        """The delivery of a record, None for one that somebody else wrote."""
        body = self._keyring.unseal(_bound(webhook_id), record)
        return None if body is None else _decode(body)


def pause(delivery: Delivery) -> float:
    """Seconds until the next attempt: twice as long each time, and not the same for all.

    Longer where the receiver asks for it, though not past the end of its day.
    """
    # No random number: it is computed more than once for an attempt, and must come to the same.
    spread = crc32(f"{delivery.event_id} {delivery.attempts}".encode()) % 1000 / 5000
    left = delivery.created_at + GIVE_UP_SECONDS - delivery.last_at
    return max(doubled(delivery.attempts) * (0.9 + spread), min(delivery.wait, left))


def doubled(attempts: int) -> int:
    """Seconds to wait after so many failed attempts: five, and twice as long each time, two hours at most."""
    # Bounded before the shift, because a delivery may have been tried very often.
    return min(_FIRST_PAUSE_SECONDS << min(attempts - 1, 20), _LONGEST_PAUSE_SECONDS)


def _bound(webhook_id: str) -> bytes:
    """What the seal of a record binds it to."""
    return b"delivery\x00" + webhook_id.encode()
