"""The composition root: builds every object once, hands each what it needs, and returns the ASGI application."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from service.api.health import Health
from service.api.http.application import Application
from service.api.http.openapi import document
from service.api.http.operation import Endpoint
from service.api.http.proxies import TrustedProxies
from service.api.metrics_port import MetricsPort
from service.composition.routes import routes
from service.composition.rules import Foundation, Rules
from service.composition.startup import (
    accepted_of,
    accounts_of,
    address_of,
    jwt_reader_of,
    redis_of,
    repeated_work,
    trusted_of,
)
from service.composition.stores import Stores
from service.edge.fast_path import FastPath
from service.edge.limits import ConnectionLimits
from service.keyring import Keyring
from service.lifespan import Background, Edge, Lifespan, Work
from service.metrics import Metrics
from service.settings import Settings
from service.store.driver.connection import Link
from service.store.driver.server_clock import ServerClock


class Service:
    """Every object of one process, which goes by the clock of Redis; `clock` is this machine's.

    `links` replaces the connections, one per shard; tests pass their own. `on_reload` is done on SIGHUP, too.
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
        # One for all processes: a sweep by a clock that was years ahead once took living tokens for ended ones.
        self.clock = clock = ServerClock(clock)
        self.metrics = metrics = Metrics()
        redis = None if links is not None else redis_of(settings, clock, metrics)
        keyring = Keyring(settings.secret_key, settings.secret_key_previous, import_suffix=settings.import_suffix)
        self.stores = store = Stores(settings, redis.links if redis else links or (), keyring, clock)
        on = Foundation(settings, store, keyring, metrics, clock)
        self.rules = rule = Rules(on, accounts_of(settings))
        self.health = Health(store.monitor, store.token_counts, rule.hygiene, metrics, clock)
        trusted, jwt = trusted_of(settings), jwt_reader_of(settings, clock)
        address = address_of(settings, trusted)
        found = routes(on, rule, self.health, jwt=jwt, trusted=trusted, address=address)
        self.application = Application(
            found.service,
            metrics=metrics,
            trusted=trusted,
            prefix=address.configured.prefix if address.configured else "",
            access_log=settings.access_log,
            lifespan=self._live,
        )
        self.fast_path = FastPath(
            rule.authority, store.credentials, rule.one_time, metrics, self.application, trusted, accepted_of(settings)
        )
        self.lifespan = Lifespan(
            store.monitor,
            self.health,
            metrics,
            Edge(self.fast_path, ConnectionLimits(trusted, per_address=settings.connections_per_address)),
            Background(
                prepare=rule.managed.imports.detect_imported,
                begin=rule.sessions.end_outdated,
                repeated=repeated_work(rule, store.shards, metrics),
                flush=(rule.usage.flush, rule.audit.refusals.tell),
                reload=(partial(rule.sessions.reload_accounts, settings.accounts_path), *on_reload),
                follow=redis.watch if redis else None,
            ),
            self._metrics_port(found.metrics),
            # Redis last: the deliveries give the shards back through it.
            closables=(rule.accounts.passwords, rule.webhooks.deliveries, *([redis] if redis else [])),
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
    return document(Service(Settings()).application.operations)
