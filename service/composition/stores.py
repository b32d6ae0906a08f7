"""The stores: one object for each kind of thing that Redis keeps."""

from collections.abc import Sequence
from typing import NamedTuple

from service.keyring import Keyring
from service.settings import Settings
from service.store.attempts import AttemptStore
from service.store.audit import AuditStore
from service.store.credentials import CredentialStore
from service.store.driver.confirmation import Confirmation
from service.store.driver.connection import Link
from service.store.driver.server_clock import ServerClock
from service.store.driver.shards import Shards
from service.store.fence import Fence
from service.store.idempotency import RequestStore
from service.store.limits.subjects import SubjectStore
from service.store.managed.derived import DerivedStore
from service.store.managed.expiry import ExpiryStore
from service.store.managed.hygiene import HygieneStore
from service.store.managed.imports import ImportStore
from service.store.managed.listing import Listing
from service.store.managed.statistics import TokenCounts
from service.store.managed.tokens import ManagedStore, Retention
from service.store.monitoring.monitor import Monitor
from service.store.outbox import Outbox
from service.store.sessions import SessionStore
from service.store.usage import UsageStore
from service.store.webhooks import WebhookStore


class Stores(NamedTuple):
    """Everything that speaks to Redis."""

    shards: Shards
    monitor: Monitor
    credentials: CredentialStore
    subjects: SubjectStore
    derived: DerivedStore
    fence: Fence
    sessions: SessionStore
    attempts: AttemptStore
    managed: ManagedStore
    listing: Listing
    token_counts: TokenCounts
    imports: ImportStore
    expiry: ExpiryStore
    hygiene: HygieneStore
    audit: AuditStore
    usage: UsageStore
    webhooks: WebhookStore
    outbox: Outbox
    requests: RequestStore


def stores(settings: Settings, links: Sequence[Link], keyring: Keyring, clock: ServerClock) -> Stores:
    """The stores over these links, one per shard."""
    shards = Shards(settings.namespace, links, Confirmation.of(settings.durability, settings.redis_timeout_ms))
    fence = Fence(stands=settings.one_time_fence)
    retention = Retention(settings.retention_days * 86400)
    managed = ManagedStore(shards, retention)
    return Stores(
        shards=shards,
        monitor=Monitor(shards, clock, keyring.marks(settings.namespace), settings.durability),
        credentials=CredentialStore(shards, fence),
        subjects=SubjectStore(shards),
        derived=DerivedStore(shards, retention),
        fence=fence,
        sessions=SessionStore(shards),
        attempts=AttemptStore(shards),
        managed=managed,
        listing=Listing(shards, managed, retention),
        token_counts=TokenCounts(shards),
        imports=ImportStore(shards, retention, managed),
        expiry=ExpiryStore(shards, retention),
        hygiene=HygieneStore(shards, retention),
        audit=AuditStore(),
        usage=UsageStore(shards),
        webhooks=WebhookStore(shards),
        outbox=Outbox(),
        requests=RequestStore(shards),
    )
