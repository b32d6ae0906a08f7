"""The composition root: builds every object once, hands each what it needs, and returns the ASGI application."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from service.api.http.application import Application
from service.api.http.operation import Endpoint
from service.api.http.proxies import TrustedProxies
from service.api.metrics_port import MetricsPort
from service.api.operations import Health
from service.composition.reading import accounts_of, naming, reading_of
from service.composition.routes import routes
from service.composition.rules import Foundation, Rules
from service.composition.stores import Stores
from service.edge.deadlines import Deadlines
from service.edge.fast_path import FastPath
from service.edge.limits import ConnectionLimits
from service.keyring import Keyring
from service.lifespan import Background, Lifespan, Work
from service.metrics import Metrics
from service.settings import Settings
from service.store.driver.connection import Link
from service.store.driver.server_clock import ServerClock
from service.store.servers.links import Servers, no_servers, servers_of
from service.tokens.audit.refusals import TELL_SECONDS


class Service:
    """Every object of one process. It uses the clock of Redis; `clock` is this machine's.

    `links` replaces the connections, one per shard, for tests. `on_reload` also runs on SIGHUP.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        links: Sequence[Link] | None = None,
        on_reload: tuple[Work, ...] = (),
    ) -> None:
        self.settings = settings
        # One clock for all processes: a sweep by a clock that was years ahead once ended living tokens.
        self.clock = clock = ServerClock(clock)
        self.metrics = metrics = Metrics()
        redis = None if links is not None else _redis_of(settings, clock, metrics)
        keyring = Keyring(settings.secret_key, settings.secret_key_previous, import_suffix=settings.import_suffix)
        self.stores = store = Stores(settings, redis.links if redis else links or (), keyring, clock)
        on = Foundation(settings, store, keyring, metrics, clock)
        self.rules = rule = Rules(on, accounts_of(settings))
        self.health = Health(store.monitor, store.token_counts, rule.hygiene, metrics, clock)
        _, trusted, accepted, address = reading = reading_of(settings, clock)
        listed, of_metrics = routes(on, rule, self.health, reading)
        self.application = Application(
            listed,
            metrics=metrics,
            trusted=trusted,
            prefix=address.configured.prefix if address.configured else "",
            access_log=settings.access_log,
            lifespan=self._live,
        )
        self.fast_path = FastPath(
            rule.authority, store.credentials, rule.one_time, metrics, self.application, accepted, store.managed.ahead
        )
        self.lifespan = Lifespan(
            store.monitor,
            metrics,
            {
                "fast_path": self.fast_path,
                "limits": ConnectionLimits(trusted, per_address=settings.connections_per_address),
                "deadlines": Deadlines(on_second=self.fast_path.forget, on_drain=self.health.drain),
            },
            _background(on, rule, reload=on_reload, redis=redis),
            self._metrics_port(of_metrics),
        )

    def _metrics_port(self, endpoints: list[Endpoint]) -> MetricsPort | None:
        settings = self.settings
        if not settings.metrics_port:
            return None
        own = Application(
            endpoints, metrics=self.metrics, trusted=TrustedProxies(), access_log=False, lifespan=self._live
        )
        return MetricsPort(own, settings.hosts, settings.metrics_port)

    def _live(self) -> AbstractAsyncContextManager[dict[str, Any]]:
        return self.lifespan()


def create_app(settings: Settings, *, on_reload: tuple[Work, ...] = ()) -> Application:
    """The ASGI application for these settings. Raises SettingsError."""
    return Service(settings, on_reload=on_reload).application


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of this version; needs no Redis and no settings."""
    # Imported here, because a service that only answers needs none of it.
    from service.api.http.openapi import document  # noqa: PLC0415

    return document(Service(Settings()).application.operations)


def _background(on: Foundation, rule: Rules, *, reload: tuple[Work, ...], redis: Servers | None) -> Background:
    """The work of every process besides answering requests."""

    async def flush_metrics() -> None:
        on.metrics.flush()

    # Name, interval in seconds, and work.
    repeated: tuple[tuple[str, float, Work], ...] = (
        # The operator's guide promises how much usage a crash loses at most.
        ("usage", 1.0, rule.usage.flush_due),
        ("sweep", 1.0, rule.managed.sweeper.sweep),
        ("refusals", TELL_SECONDS, rule.audit.refusals.tell),
        # Until an entry is sealed, its removal cannot be detected.
        ("seal", 1.0, rule.audit.checkpoints.seal),
        ("hygiene", 60.0, rule.hygiene.work),
        ("webhooks", 1.0, rule.webhooks.deliveries.work),
        # Until this is done, secrets that another process imported by a new rule are unknown here.
        ("imported", 1.0, rule.managed.imports.detect_imported),
        # Until this is done, other processes may use the limits from before a change whose answer was an error.
        ("limits", 10.0, on.store.subjects.tell_again),
        # Until this is done, a server that took over may accept tokens that were ended just before.
        ("removals", 0.1, on.store.shards.send_removals_again),
        # A scrape sees the counts of other workers only after they are flushed.
        ("metrics", 0.1, flush_metrics),
    )
    return Background(
        prepare=rule.managed.imports.detect_imported,
        begin=rule.sessions.end_outdated,
        repeated=repeated,
        flush=(rule.usage.flush, rule.audit.refusals.tell),
        reload=(partial(rule.sessions.reload_accounts, on.settings.accounts_path), *reload),
        follow=redis.watch if redis else None,
        # Redis last, because the deliveries use it to release the shards.
        close=(rule.accounts.passwords.aclose, rule.webhooks.deliveries.aclose, *([redis.aclose] if redis else [])),
    )


def _redis_of(settings: Settings, clock: ServerClock, metrics: Metrics) -> Servers:
    """The servers that the settings name; without a URL, servers that nothing ever asks. Raises SettingsError."""
    if not settings.redis_url:
        return no_servers()
    with naming("TOKENS_REDIS_URL"):
        return servers_of(
            settings.redis_url,
            timeout_seconds=settings.redis_timeout_ms / 1000,
            clock=clock,
            on_error=metrics.redis_errors.inc,
            on_seconds=metrics.redis_took,
        )
