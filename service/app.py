"""The roof: builds every object once, hands each what it needs, and returns the ASGI application."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_network
from typing import Any

from service import logs
from service.api.admin.audit import AuditApi
from service.api.admin.bulk_revocation import KillSwitchApi
from service.api.admin.hygiene import HygieneApi
from service.api.admin.import_export import TransferApi
from service.api.admin.rotation import RotationApi
from service.api.admin.schemas.audit import message
from service.api.admin.token_views import TokenViews
from service.api.admin.tokens import ManagedApi
from service.api.admin.usage import UsageApi
from service.api.admin.webhooks import WebhooksApi
from service.api.auth.callers import Guard, JwtReader
from service.api.auth.clients import Clients
from service.api.gateway.validate import GatewayApi
from service.api.health import Health
from service.api.http.application import Front
from service.api.http.call import Dialect, Network
from service.api.http.openapi import document
from service.api.oauth import OAuthApi
from service.api.one_time import OneTimeApi
from service.api.operations import OperationsApi
from service.api.pages.dashboard import DashboardApi
from service.api.pages.docs import DocsApi
from service.api.self_service import SelfServiceApi
from service.api.sessions import SessionApi
from service.edge.fast_path import Straight
from service.edge.limits import ConnectionLimits
from service.errors import StoreUnavailable
from service.keyring import Keyring
from service.lifespan import Running
from service.metrics import Metrics
from service.metrics_port import MetricsPort
from service.settings import Settings, SettingsError, read
from service.store.attempts import AttemptStore
from service.store.audit import AuditStore
from service.store.credentials import CredentialStore
from service.store.driver.connection import Connect, Link, connector
from service.store.driver.monitor import Guardian
from service.store.driver.pipeline import Batch
from service.store.driver.server_clock import ServerClock
from service.store.driver.shards import Shards
from service.store.idempotency import RequestStore
from service.store.managed.expiry import ExpiryStore
from service.store.managed.hygiene import HygieneStore
from service.store.managed.imports import TransferStore
from service.store.managed.listing import Listing
from service.store.managed.statistics import Census
from service.store.managed.tokens import ManagedStore, Retention
from service.store.one_time import OneTimeStore
from service.store.outbox import Outbox
from service.store.sessions import SessionStore
from service.store.usage import UsageStore
from service.store.webhooks import WebhookStore
from service.tokens.accounts.accounts import Account, Accounts, AccountsError, read_accounts
from service.tokens.accounts.attempts import Attempts
from service.tokens.accounts.passwords import PasswordChecker
from service.tokens.accounts_reload import Reload
from service.tokens.audit.checkpoints import Sealer
from service.tokens.audit.log import Trail
from service.tokens.audit.reader import Audit
from service.tokens.audit.verification import Verification
from service.tokens.authority import Authority
from service.tokens.hygiene import Hygiene
from service.tokens.idempotency import Repeats
from service.tokens.lifetime import Lifetime
from service.tokens.managed.bulk import Bulk
from service.tokens.managed.import_export import Transfer
from service.tokens.managed.records import Ledger
from service.tokens.managed.revocation import Revocation
from service.tokens.managed.rotation import Rotation
from service.tokens.managed.seals import Seals
from service.tokens.managed.sweeper import Sweeper
from service.tokens.managed.tokens import ManagedTokens
from service.tokens.one_time import OneTimeTokens
from service.tokens.sessions import Sessions
from service.tokens.usage import Usage
from service.tokens.usage_series import UsageSeries
from service.tokens.webhooks.deliveries import Deliveries
from service.tokens.webhooks.delivery import DeliverySeal
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.messages import Messages
from service.tokens.webhooks.notices import Notices
from service.tokens.webhooks.registry import Webhooks
from service.tokens.webhooks.sender import Courier
from service.tokens.webhooks.ssrf import resolve


class Service:
    """Every object of one process, which goes by the clock of Redis; `clock` is this machine's.

    `links` replaces the connections, one per shard; tests pass their own.
    """

    def __init__(
        self, settings: Settings, *, clock: Callable[[], float] = time.time, links: Sequence[Link] | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock = ServerClock(clock)
        self.metrics = metrics = Metrics()
        self._batch: Batch | None = None
        self._metrics_port: MetricsPort | None = None
        if links is None:
            self._batch = Batch(
                _connector(settings, clock), on_error=metrics.redis_errors.inc, on_seconds=metrics.redis_took
            )
            links = [self._batch]
        self.shards = shards = Shards(settings.namespace, links)
        self.keyrings = keyrings = tuple(
            Keyring(key) for key in (settings.secret_key, settings.secret_key_previous) if key
        )
        retention = Retention(settings.retention_days * 86400)
        self.accounts = Accounts(_accounts(settings), keyrings[0])
        keep = max(1, settings.audit_max_entries // len(shards))
        self.trail = Trail(keyrings[0], shards, clock, keep=keep)
        managed_store = ManagedStore(shards, retention)
        webhook_store, outbox = WebhookStore(shards), Outbox()
        self.webhooks = Webhooks(
            webhook_store, outbox, shards, keyrings, self.trail, resolve, clock,
            allow_private=settings.webhook_allow_private,
        )  # fmt: skip
        self.notices = Notices(webhook_store, self.webhooks, managed_store, self.trail, clock)
        self.deliveries = Deliveries(
            self.webhooks, self.notices, outbox, Messages(managed_store, keyrings, message, clock), shards, keyrings,
            Courier(resolve, allow_private=settings.webhook_allow_private), clock,
            count=metrics.webhook_delivered,
        )  # fmt: skip
        self.delivery_log = DeliveryLog(outbox, shards, DeliverySeal(keyrings))
        usage_store = UsageStore(shards)
        self.usage = Usage(
            usage_store, clock, idle_seconds=settings.session_idle_seconds, on_limited=self.notices.limit_exceeded
        )
        self.audit_store = audit_store = AuditStore()
        self.sealer = Sealer(
            audit_store, shards, keyrings, keep=keep, count=metrics.audit_events.inc, head=metrics.sealed
        )
        self.verification = Verification(audit_store, shards, keyrings, self.sealer, keep=keep)
        self.audit = Audit(audit_store, shards)
        credentials = CredentialStore(shards)
        self.authority = Authority(
            credentials, keyrings, self.accounts, self.usage, clock,
            on_tampered=metrics.tampered.inc, on_paused=metrics.limits_paused.inc,
        )  # fmt: skip
        self.one_time = OneTimeTokens(
            OneTimeStore(shards, on_spent_twice=self.notices.consumed_twice), shards, self.authority, keyrings[0],
            clock, ttl_seconds=settings.one_time_ttl_seconds, per_minute=settings.one_time_issue_per_minute,
        )  # fmt: skip
        self.passwords = PasswordChecker()
        self.sessions = Sessions(
            SessionStore(shards), shards, self.authority, keyrings[0], self.accounts,
            Attempts(AttemptStore(shards), keyrings[0]), self.passwords, self.trail, clock,
            ttl_seconds=settings.session_ttl_seconds, idle_seconds=settings.session_idle_seconds,
        )  # fmt: skip
        self.census = census = Census(shards)
        listing = Listing(shards, managed_store, retention)
        seals = Seals(self.authority, credentials, keyrings)
        ledger = Ledger(managed_store, seals, self.trail, clock)
        lifetime = Lifetime(settings.max_lifetime_days)
        repeats = Repeats(RequestStore(shards), keyrings[0])
        self.managed = ManagedTokens(
            managed_store, ledger, listing, census, shards, keyrings[0], repeats, lifetime, clock
        )
        self.rotation = Rotation(managed_store, ledger, shards, keyrings[0], repeats, clock)
        self.revocation = Revocation(credentials, ledger, self.authority, self.sessions, self.one_time)
        self.bulk = Bulk(self.managed, listing, clock)
        self.usage_series = UsageSeries(usage_store, clock)
        self.sweeper = Sweeper(ExpiryStore(shards, retention), managed_store, shards, self.trail)
        self.guardian = Guardian(shards, clock, tuple(keyring.mark(settings.namespace) for keyring in keyrings))
        self.hygiene = Hygiene(HygieneStore(shards, retention), clock)
        self.health = Health(self.guardian, census, self.hygiene, metrics, clock)
        self.transfer = Transfer(
            TransferStore(shards, retention, managed_store), listing, shards, seals, self.authority,
            keyrings[0], self.trail, lifetime, clock,
        )  # fmt: skip
        self.front = self._front()
        self.straight = Straight(
            self.authority, credentials, self.one_time, metrics, self.front.request_ids, _trusted(settings),
            accept_basic=settings.accept_basic,
        )  # fmt: skip
        self.running = Running(
            self.guardian, self.health, metrics, self.straight,
            ConnectionLimits(_trusted(settings), per_address=settings.connections_per_address),
            prepare=self.transfer.look_for_foreign,
            work=(
                ("usage", 1.0, self.flush_usage),
                ("sweep", 1.0, self.sweeper.sweep),
                ("seal", 1.0, self.sealer.seal),
                ("hygiene", 60.0, self.hygiene.work),
                ("webhooks", 1.0, self.deliveries.work),
                ("foreign", 1.0, self.transfer.look_for_foreign),
                ("metrics", 0.1, self._pour),
            ),
            flush=self.flush_usage,
            reload=Reload(settings.accounts_path, self.accounts, self.sessions, self.trail),
            metrics_port=self._metrics_port,
            opened=(self.passwords, self.deliveries, *([self._batch] if self._batch else [])),
        )  # fmt: skip

    def _front(self) -> Front:
        settings, metrics, trusted = self.settings, self.metrics, _trusted(self.settings)
        dashboard = DashboardApi(
            self.sessions, self.accounts, metrics, self.clock,
            max_lifetime_days=settings.max_lifetime_days, retention_days=settings.retention_days,
        )  # fmt: skip
        guard = Guard(self.authority, self.accounts, jwt=_jwt_reader(settings, self.clock), cookie=dashboard.cookie)
        views = TokenViews(self.usage_series, self.clock)
        clients = Clients(self.authority, self.sessions)
        operations = OperationsApi(self.health, metrics, with_metrics=not settings.metrics_port)
        dialects: tuple[Dialect, ...] = (
            GatewayApi(self.authority, self.one_time, clients, metrics, trusted, accept_basic=settings.accept_basic),
            OneTimeApi(self.one_time, guard, metrics, open_to_all=settings.one_time_issue == "open"),
            SessionApi(self.sessions, metrics),
            ManagedApi(self.managed, self.bulk, views, guard, metrics, self.clock),
            RotationApi(self.rotation, views, guard),
            SelfServiceApi(self.managed, self.revocation, self.rotation, views, guard, metrics),
            KillSwitchApi(self.bulk, self.sessions, views, guard, metrics),
            UsageApi(self.usage_series, self.managed, guard),
            HygieneApi(self.hygiene, self.census, guard, self.clock),
            TransferApi(self.transfer, views, self.trail, guard, self.clock, shards=len(self.shards)),
            WebhooksApi(self.webhooks, self.delivery_log, guard),
            AuditApi(self.audit, self.verification, self.trail, guard),
            OAuthApi(self.authority, self.revocation, clients, metrics),
            operations,
            dashboard,
            *([DocsApi()] if settings.docs else []),
        )
        routes = [operation for dialect in dialects for operation in dialect.operations()]
        operations.describe(routes)
        if settings.metrics_port:
            own = Front(
                operations.metrics_operations(), metrics=metrics, trusted=(), access_log=False, lifespan=self._live
            )
            self._metrics_port = MetricsPort(own, settings.host, settings.metrics_port)
        return Front(routes, metrics=metrics, trusted=trusted, access_log=settings.access_log, lifespan=self._live)

    async def flush_usage(self) -> None:
        """Write the usage gathered since the last time; what Redis does not take is dropped and counted."""
        try:
            await self.usage.flush()
        except StoreUnavailable:
            self.metrics.usage_dropped.inc()

    async def _pour(self) -> None:
        self.metrics.pour()

    def _live(self) -> AbstractAsyncContextManager[dict[str, Any]]:
        return self.running()


def _accounts(settings: Settings) -> dict[str, Account]:
    try:
        return read_accounts(settings.accounts_path) if settings.accounts_path else {}
    except AccountsError as error:
        raise SettingsError(f"TOKENS_ACCOUNTS_FILE: {error}") from None


def _connector(settings: Settings, clock: ServerClock) -> Connect:
    try:
        return connector(settings.redis_url, clock=clock)
    except ValueError as error:
        raise SettingsError(f"TOKENS_REDIS_URL: {str(error).rstrip('.')}") from None


def _trusted(settings: Settings) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in settings.trusted_proxies.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"TOKENS_TRUSTED_PROXIES: {error}: write addresses or networks, comma separated") from None


def _jwt_reader(settings: Settings, clock: Callable[[], float]) -> JwtReader | None:
    """Administrators' JWTs, if any are to be accepted; their library is loaded only then."""
    if not (settings.admin_jwt_secret or settings.admin_jwt_jwks):
        return None
    from service.tokens.accounts.jwt import administrators  # noqa: PLC0415 - a fifth of a second and 10 MB most never need

    return administrators(settings, clock).subject


def create_app(settings: Settings) -> Front:
    """The ASGI application for these settings. Raises SettingsError."""
    return Service(settings).front


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of this version; needs no Redis and no settings."""
    described = Settings(redis_url="unix:///nowhere", secret_key="described, never served")  # noqa: S106
    return document(Service(described).front.operations)


def from_environment() -> Front:
    """The application of a worker process, from TOKENS_* in its environment."""
    settings = read(os.environ)
    logs.configure(settings)
    return create_app(settings)
