"""Webhooks: whom the service tells of events, and the secrets they check its word with."""

import base64
import hmac
from collections.abc import Callable
from functools import cached_property

import msgspec

from service.errors import Conflict, NotFound
from service.identifiers import random_id
from service.keyring import SEAL_BYTES, DerivedKeys, Keyring
from service.model import Origin
from service.store.driver.shards import Shards
from service.store.outbox import Outbox
from service.store.webhooks import WebhookStore
from service.tokens.audit.log import AuditLog
from service.tokens.webhooks.events import EventType
from service.tokens.webhooks.ssrf import Destinations

MOST = 20
_encode = msgspec.msgpack.Encoder().encode


class Webhook(msgspec.Struct, frozen=True):
    """One receiver. `since` in epoch milliseconds by Redis: what happened before is not told."""

    webhook_id: str
    url: str
    events: tuple[EventType, ...]
    created_at: int
    created_by: str
    since: int
    nonce: str


class Known(msgspec.Struct, frozen=True, dict=True):
    """A webhook and the keys its record was sealed with, which its secret is derived from."""

    webhook: Webhook
    keys: DerivedKeys

    @cached_property
    def secret(self) -> str:
        """The signing secret, as Standard Webhooks writes it. It is derived, so it is stored nowhere."""
        key = self.keys.derive(b"webhook")
        text = f"{self.webhook.webhook_id}\x00{self.webhook.nonce}".encode()
        return "whsec_" + base64.b64encode(hmac.digest(key, text, "sha256")).decode()


_decode = msgspec.msgpack.Decoder(Webhook).decode


class Webhooks:
    """The receivers there are. `known` is as fresh as the last `refresh`, a second at most."""

    def __init__(
        self,
        store: WebhookStore,
        outbox: Outbox,
        shards: Shards,
        keyring: Keyring,
        audit_log: AuditLog,
        destinations: Destinations,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._shards = shards
        self._keyring = keyring
        self._audit_log = audit_log
        self._destinations = destinations
        self._clock = clock
        self.known: dict[str, Known] = {}

    def wants(self, event: EventType) -> bool:
        """Does any receiver want to be told of this?"""
        return any(event in known.webhook.events for known in self.known.values())

    async def refresh(self) -> None:
        """Read the receivers. A record that somebody else wrote is left out. Raises StoreUnavailable."""
        records = await self._store.all()
        decoded = {webhook_id: self._open(webhook_id, record) for webhook_id, record in records.items()}
        self.known = {webhook_id: known for webhook_id, known in decoded.items() if known is not None}

    def _open(self, webhook_id: str, record: bytes) -> Known | None:
        keys = self._keyring.sealed_by(_bound(webhook_id), record)
        return None if keys is None else Known(_decode(record[SEAL_BYTES:]), keys)

    async def create(self, url: str, events: tuple[EventType, ...], origin: Origin) -> Known:
        """Add a receiver; what happens from now on is told.

        Raises InvalidRequest for a URL that is not allowed, Conflict `too_many_webhooks`.
        """
        destination = await self._destinations.check(url)
        webhook_id = random_id()
        # Before the record is there: from the moment somebody knows the webhook it misses no event.
        since, *_ = [await self._outbox.begin(shard, webhook_id) for shard in self._shards]
        webhook = Webhook(
            webhook_id,
            url,
            tuple(dict.fromkeys(events)),
            int(self._clock()),
            origin.actor,
            since,
            random_id() + random_id(),
        )
        record = self._keyring.seal(_bound(webhook.webhook_id), _encode(webhook))
        # Whoever reads tokens reads the log, and a path may be what lets a sender in.
        after = {"host": destination.authority, "events": list(webhook.events)}
        entry = self._audit_log.entry("webhook.created", origin, webhook.webhook_id, after=after)
        if await self._store.put(webhook.webhook_id, record, most=MOST, entry=entry) < 0:
            # Its places in the streams of events were begun above.
            await self._forget(webhook_id)
            raise Conflict(f"There are {MOST} webhooks already. Delete one first.", code="too_many_webhooks")
        known = self.known[webhook.webhook_id] = Known(webhook, self._keyring.present)
        return known

    async def delete(self, webhook_id: str, origin: Origin) -> None:
        """Take a receiver away, with all that waits for it. Raises NotFound."""
        entry = self._audit_log.entry("webhook.deleted", origin, webhook_id)
        if await self._store.put(webhook_id, b"", most=MOST, entry=entry) == 0:
            raise NotFound("No webhook with this ID.")
        # At once in this process; the others learn it within a second.
        self.known.pop(webhook_id, None)
        await self._forget(webhook_id)

    async def _forget(self, webhook_id: str) -> None:
        for shard in self._shards:
            await self._outbox.forget(shard, webhook_id)

    async def get(self, webhook_id: str) -> Webhook:
        """The receiver of an id. Raises NotFound."""
        await self.refresh()
        known = self.known.get(webhook_id)
        if known is None:
            raise NotFound("No webhook with this ID.")
        return known.webhook


def _bound(webhook_id: str) -> bytes:
    """What the seal of a record binds it to."""
    return b"webhook\x00" + webhook_id.encode()
