"""The routes: what answers requests, each class over the rules it needs."""

from collections.abc import Callable
from typing import NamedTuple

from service.api.admin.audit import AuditApi
from service.api.admin.bulk_revocation import BulkRevocationApi
from service.api.admin.explain import ExplainApi
from service.api.admin.hygiene import HygieneApi
from service.api.admin.import_export import ImportExportApi
from service.api.admin.rotation import RotationApi
from service.api.admin.sessions import AdminSessionsApi
from service.api.admin.token_list import TokenListApi
from service.api.admin.token_views import TokenViews
from service.api.admin.tokens import ManagedApi
from service.api.admin.usage import UsageApi
from service.api.admin.webhooks import WebhooksApi
from service.api.auth.callers import Caller, Callers, Holder, JwtReader
from service.api.auth.clients import Clients
from service.api.auth.cookies import SessionCookies
from service.api.derived import DerivedApi
from service.api.gateway.batch import BatchApi
from service.api.gateway.validate import GatewayApi
from service.api.health import Health
from service.api.http.operation import Endpoint, OperationGroup, Reader
from service.api.http.proxies import TrustedProxies
from service.api.http.public_address import PublicAddress
from service.api.oauth import OAuthApi
from service.api.one_time import OneTimeApi
from service.api.operations import OperationsApi
from service.api.pages.dashboard import DashboardApi
from service.api.pages.docs import DocsApi
from service.api.self_service import SelfServiceApi
from service.api.sessions import SessionApi
from service.api.store_reset import StoreResetApi
from service.api.subject_limits import SubjectLimitsApi
from service.composition.rules import Rules
from service.composition.startup import accepted_of
from service.composition.stores import Stores
from service.metrics import Metrics
from service.settings import Settings
from service.tokens.batch import Batch


class Routes(NamedTuple):
    """What the two ports answer: the service's own, and that of the metrics if they have one."""

    service: list[Endpoint]
    metrics: list[Endpoint]


def routes(
    settings: Settings,
    store: Stores,
    rule: Rules,
    health: Health,
    metrics: Metrics,
    clock: Callable[[], float],
    *,
    jwt: JwtReader | None,
    trusted: TrustedProxies,
    address: PublicAddress,
) -> Routes:
    """The operations over these rules. `trusted`: the networks of proxies whose word on an address is believed."""
    cookies = SessionCookies(address)
    dashboard = _dashboard(settings, rule, clock, cookies)
    callers = Callers(rule.authority, rule.accounts, jwt=jwt, cookie=cookies.read)
    views = TokenViews(rule.usage_series, rule.derivation, rule.standings, rule.subject_limits, clock)
    clients = Clients(rule.authority, rule.login)
    operations = OperationsApi(health, metrics, address, with_metrics=not settings.metrics_port)
    groups: tuple[OperationGroup, ...] = (
        BatchApi(Batch(rule.authority, store.credentials), clients),
        GatewayApi(rule.authority, rule.one_time, metrics, trusted, accepted=accepted_of(settings)),
        OneTimeApi(rule.one_time, callers),
        SessionApi(rule.sessions, metrics),
        TokenListApi(rule.queries, views),
        ManagedApi(rule.managed, rule.bulk, views, clock),
        RotationApi(rule.rotation, views),
        SelfServiceApi(rule.managed, rule.revocation, rule.rotation, rule.derivation, views),
        DerivedApi(rule.derivation, views),
        SubjectLimitsApi(rule.subject_limits),
        BulkRevocationApi(rule.bulk, views),
        AdminSessionsApi(rule.sessions, rule.accounts),
        ExplainApi(rule.explainer, clock, accept_basic=settings.accept_basic),
        UsageApi(rule.usage_series, rule.managed),
        HygieneApi(rule.hygiene, store.token_counts, clock),
        ImportExportApi(rule.imports, rule.queries, views, rule.audit_log, clock),
        WebhooksApi(rule.webhooks, rule.delivery_log, rule.trial),
        AuditApi(rule.audit, rule.verification, rule.audit_log),
        OAuthApi(rule.authority, rule.revocation, clients, address, settings.kubernetes_audience_list),
        StoreResetApi(store.monitor, rule.audit_log),
        operations,
        dashboard,
        *([DocsApi()] if settings.docs else []),
    )
    known: dict[type, Reader] = {Caller: callers.admit, Holder: callers.holder}
    listed = [endpoint for group in groups for endpoint in group.endpoints(known)]
    operations.describe([endpoint.operation for endpoint in listed])
    return Routes(listed, operations.metrics_endpoints() if settings.metrics_port else [])


def _dashboard(settings: Settings, rule: Rules, clock: Callable[[], float], cookies: SessionCookies) -> DashboardApi:
    return DashboardApi(
        rule.sessions,
        rule.accounts,
        clock,
        cookies,
        max_lifetime_days=settings.max_lifetime_days,
        retention_days=settings.retention_days,
        label=settings.label,
    )
