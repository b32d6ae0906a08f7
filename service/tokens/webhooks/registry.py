"""Webhooks: the receivers of events, and the secrets with which they verify messages."""

import base64
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from service.errors import Conflict, NotFound
from service.identifiers import random_id
from service.keyring import SEAL_BYTES, DerivedKeys, Keyring
from service.model import Origin
from service.store.driver.shards import Shards
from service.store.outbox import outboxes
from service.store.webhooks import WebhookStore
from service.tokens.audit.entries import Action
from service.tokens.audit.log import AuditLog
from service.tokens.idempotency import Repeatable, Repeats, ended_since
from service.tokens.webhooks.events import EventType
from service.tokens.webhooks.ssrf import Destinations

log = logging.getLogger(__name__)
# Each webhook has a place in every stream of every shard, and is read once a second.
MOST = 20
_encode = msgspec.msgpack.Encoder().encode


class Webhook(msgspec.Struct, frozen=True):
    """One receiver. `since` in epoch milliseconds by Redis: earlier events are not sent.

    `previous`: the nonce of the secret before the last rotation, which signs together with the present one until
    `previous_until`, epoch seconds. A receiver that is not `active` is sent nothing, and keeps its place meanwhile.
    """

    webhook_id: str
    url: str
    events: tuple[EventType, ...]
    created_at: int
    created_by: str
    since: int
    nonce: str
    active: bool = True
    previous: str = ""
    previous_until: int = 0


# `dict=True`, because `cached_property` keeps its value in the dictionary of the instance.
class Known(msgspec.Struct, frozen=True, dict=True):
    """A webhook, its record, and the keys that sealed this record, from which its secret is derived.

    A secret before a rotation may have been derived from any key of the `keyring`.
    """

    webhook: Webhook
    record: bytes
    keys: DerivedKeys
    keyring: Keyring

    @cached_property
    def secret(self) -> str:
        """The signing secret in the form of Standard Webhooks. It is derived, so it is stored nowhere."""
        return self._derived(self.keys, self.webhook.nonce)

    def secrets(self, now: float) -> list[str]:
        """All secrets that sign at this moment, the present one first."""
        if now >= self.webhook.previous_until:
            return [self.secret]
        # A rotation seals with the present server key, and the key of the old secret is not recorded.
        return [self.secret, *(self._derived(keys, self.webhook.previous) for keys in self.keyring.each)]

    def _derived(self, keys: DerivedKeys, nonce: str) -> str:
        text = f"{self.webhook.webhook_id}\x00{nonce}".encode()
        return "whsec_" + base64.b64encode(hmac.digest(keys.derive(b"webhook"), text, "sha256")).decode()


_decode = msgspec.msgpack.Decoder(Webhook).decode


@dataclass(eq=False, repr=False)
class Webhooks:
    """The existing receivers. `known` is as fresh as the last `refresh`, at most a second old.

    `tampered`: ids of records that somebody else wrote, or that an earlier server key sealed; they are sent nothing.
    """

    _store: WebhookStore
    _shards: Shards
    _keyring: Keyring
    _audit_log: AuditLog
    _destinations: Destinations
    _repeats: Repeats
    _clock: Callable[[], float]
    known: dict[str, Known] = field(default_factory=dict, init=False)
    tampered: set[str] = field(default_factory=set, init=False)

    def wants(self, event: EventType) -> bool:
        """True if any receiver wants this event."""
        return any(event in known.webhook.events for known in self.known.values())

    async def refresh(self) -> None:
        """Read the receivers. Raises StoreUnavailable."""
        records = await self._store.all()
        decoded = {webhook_id: self._open(webhook_id, record) for webhook_id, record in records.items()}
        self.known = {webhook_id: known for webhook_id, known in decoded.items() if known is not None}
        tampered = decoded.keys() - self.known.keys()
        if found := tampered - self.tampered:
            text = (
                "webhooks whose record no server key given here has sealed are told nothing, "
                "give the key before or add them anew: %s"
            )
            log.warning(text, sorted(found))
        self.tampered = tampered

    def _open(self, webhook_id: str, record: bytes) -> Known | None:
        keys = self._keyring.sealed_by(_bound(webhook_id), record)
        return None if keys is None else Known(_decode(record[SEAL_BYTES:]), record, keys, self._keyring)

    async def create(
        self, url: str, events: tuple[EventType, ...], origin: Origin, request: Repeatable | None = None
    ) -> Known:
        """Add a receiver, which gets events from now on.

        Raises InvalidRequest for a URL that is not allowed, Conflict `too_many_webhooks`, `idempotency_mismatch`, and
        `token_revoked` for a repeat after a rotation or the deletion.
        """
        destination = await self._destinations.check(url)
        webhook_id, nonce = await self._draw(request, origin, "add webhook")
        # Before the record exists, so that no event is missed from the moment when the webhook is known. One after the
        # other, so that the first shard's time is the earliest and no later event is left out.
        since, *_ = [await outbox.begin() for outbox in outboxes(self._shards, webhook_id)]
        webhook = Webhook(webhook_id, url, tuple(dict.fromkeys(events)), int(self._clock()), origin.actor, since, nonce)
        record = self._keyring.seal(_bound(webhook.webhook_id), _encode(webhook))
        # Only the host: readers of tokens also read the log, and the path may be what authorizes a sender.
        after = {"host": destination.authority, "events": list(webhook.events)}
        entry = self._audit_log.entry("webhook.created", origin, webhook.webhook_id, after=after)
        done = await self._store.put(webhook.webhook_id, record, most=MOST, entry=entry)
        if done == 0:
            return await self._made_before(webhook_id, nonce)
        if done < 0:
            # Its places in the streams were begun above.
            await self._forget(webhook_id)
            raise Conflict(f"There are {MOST} webhooks already. Delete one first.", code="too_many_webhooks")
        known = self.known[webhook.webhook_id] = Known(webhook, record, self._keyring.present, self._keyring)
        return known

    async def _made_before(self, webhook_id: str, nonce: str) -> Known:
        """The answer to a repeat. Raises Conflict if the webhook was deleted since, or has another secret."""
        try:
            return _still(await self.find(webhook_id), nonce)
        except NotFound:
            await self._forget(webhook_id)
            raise ended_since() from None

    async def _draw(self, request: Repeatable | None, origin: Origin, operation: str) -> tuple[str, str]:
        """An id, and 128 bits in hex from which the secret is made; for a repeat those of the first try."""
        if request is None:
            return random_id(), random_id() + random_id()
        derived = await self._repeats.admit(request, origin.actor, operation)
        return derived.hex(b"webhook")[:16], derived.hex(b"webhook nonce")[:32]

    async def rotate(
        self, webhook_id: str, overlap_seconds: int, origin: Origin, request: Repeatable | None = None
    ) -> Known:
        """Give a receiver a new secret; the old one also signs during the overlap, an earlier one no longer.

        Raises NotFound, Conflict as `create` does.
        """
        _, nonce = await self._draw(request, origin, f"rotate webhook {webhook_id}")
        old = await self.find(webhook_id)
        if request and nonce in (old.webhook.nonce, old.webhook.previous):
            return _still(old, nonce)
        until = int(self._clock()) + overlap_seconds
        webhook = msgspec.structs.replace(
            old.webhook, nonce=nonce, previous=old.webhook.nonce, previous_until=until if overlap_seconds else 0
        )
        return await self._change(old, webhook, self._keyring.present, "webhook.rotated", origin)

    async def switch(self, webhook_id: str, origin: Origin, *, active: bool) -> Known:
        """Switch a receiver off, or on, with the events since. Raises NotFound, Conflict."""
        old = await self.find(webhook_id)
        if old.webhook.active == active:
            return old
        webhook = msgspec.structs.replace(old.webhook, active=active)
        return await self._change(
            old, webhook, old.keys, "webhook.activated" if active else "webhook.deactivated", origin
        )

    async def _change(self, old: Known, webhook: Webhook, keys: DerivedKeys, action: Action, origin: Origin) -> Known:
        webhook_id = webhook.webhook_id
        record = keys.seal(_bound(webhook_id), _encode(webhook))
        entry = self._audit_log.entry(action, origin, webhook_id)
        if await self._store.put(webhook_id, record, seen=old.record, most=MOST, entry=entry) <= 0:
            raise Conflict("Somebody else changed this webhook at the same moment. Try again.")
        known = self.known[webhook_id] = Known(webhook, record, keys, self._keyring)
        return known

    async def delete(self, webhook_id: str, origin: Origin) -> None:
        """Remove a receiver and everything that waits for it. Raises NotFound."""
        entry = self._audit_log.entry("webhook.deleted", origin, webhook_id)
        done = await self._store.put(webhook_id, b"", most=MOST, entry=entry)
        # At once in this process; other processes notice within a second.
        self.known.pop(webhook_id, None)
        # Even if there is no record: an earlier try may have been interrupted here.
        await self._forget(webhook_id)
        if done == 0:
            raise NotFound("No webhook with this ID.")

    async def _forget(self, webhook_id: str) -> None:
        for outbox in outboxes(self._shards, webhook_id):
            await outbox.forget()

    async def find(self, webhook_id: str) -> Known:
        """The receiver of an id. Raises NotFound, Conflict `record_tampered`."""
        await self.refresh()
        if webhook_id in self.tampered:
            raise Conflict(
                "This record was changed outside the service, or sealed by a server key that is no longer given. "
                "Delete the webhook, and add it again.",
                code="record_tampered",
            )
        known = self.known.get(webhook_id)
        if known is None:
            raise NotFound("No webhook with this ID.")
        return known


def _still(known: Known, nonce: str) -> Known:
    """The answer to a repeat. Raises Conflict if the secret of the first try is no longer the present one."""
    if known.webhook.nonce != nonce:
        raise ended_since()
    return known


def _bound(webhook_id: str) -> bytes:
    return b"webhook\x00" + webhook_id.encode()
