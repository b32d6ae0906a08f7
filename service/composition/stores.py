"""The stores: one object for each kind of thing that Redis keeps."""

from collections.abc import Sequence

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
from service.store.managed.records import Retention
from service.store.managed.statistics import TokenCounts
from service.store.managed.tokens import ManagedStore
from service.store.monitoring.monitor import Monitor
from service.store.sessions import SessionStore
from service.store.usage import UsageStore
from service.store.webhooks import WebhookStore


class Stores:
    """Every object that uses Redis, over these links, one per shard."""

    def __init__(self, settings: Settings, links: Sequence[Link], keyring: Keyring, clock: ServerClock) -> None:
        confirmation = Confirmation.of(settings.durability, settings.redis_timeout_ms)
        retention = Retention(settings.retention_days * 86400)
        # One confirmation for all kinds of tokens: the promise about a change is the same for each.
        self.shards = shards = Shards(settings.namespace, links, confirmation)
        self.monitor = Monitor(shards, clock, keyring.marks(settings.namespace), settings.durability)
        self.fence = Fence(stands=settings.one_time_fence)
        self.credentials = CredentialStore(shards, self.fence, clock)
        self.subjects = SubjectStore(shards)
        self.sessions = SessionStore(shards)
        self.attempts = AttemptStore(shards)
        self.requests = RequestStore(shards)
        self.managed = ManagedStore(shards, retention)
        self.derived = DerivedStore(shards, retention)
        self.listing = Listing(shards, self.managed, retention)
        self.token_counts = TokenCounts(shards)
        self.imports = ImportStore(shards, retention, self.managed)
        self.expiry = ExpiryStore(shards, retention)
        self.hygiene = HygieneStore(shards, retention)
        self.audit = AuditStore(shards)
        self.usage = UsageStore(shards)
        self.webhooks = WebhookStore(shards)
