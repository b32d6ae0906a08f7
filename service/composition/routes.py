"""The routes: the classes that answer requests, each over the rules it needs."""

from service.api.admin.audit import AuditApi
from service.api.admin.bulk_revocation import BulkRevocationApi
from service.api.admin.explain import ExplainApi
from service.api.admin.import_export import ImportExportApi
from service.api.admin.sessions import AdminSessionsApi
from service.api.admin.token_list import TokenListApi
from service.api.admin.token_views import TokenViews
from service.api.admin.tokens import ManagedApi
from service.api.admin.usage import UsageApi
from service.api.admin.webhooks import WebhooksApi
from service.api.auth.callers import Caller, Callers, Holder
from service.api.auth.clients import Clients
from service.api.auth.cookies import SessionCookies
from service.api.gateway.batch import BatchApi
from service.api.gateway.validate import GatewayApi
from service.api.http.operation import Endpoint, OperationGroup, Reader
from service.api.oauth import OAuthApi
from service.api.one_time import OneTimeApi
from service.api.operations import Health, OperationsApi
from service.api.pages.dashboard import DashboardApi
from service.api.pages.docs import DocsApi
from service.api.self_service import SelfServiceApi
from service.api.sessions import SessionApi
from service.api.subject_limits import SubjectLimitsApi
from service.composition.reading import Reading
from service.composition.rules import Foundation, Rules
from service.tokens.batch import Batch


def routes(on: Foundation, rule: Rules, health: Health, reading: Reading) -> tuple[list[Endpoint], list[Endpoint]]:
    """The endpoints of the two ports: the service's own port, and the metrics port if there is one."""
    settings, store, _, metrics, clock = on
    jwt, trusted, accepted, address = reading
    managed, audit, webhooks = rule.managed, rule.audit, rule.webhooks
    cookies = SessionCookies(address)
    callers = Callers(rule.authority, jwt=jwt, cookie=cookies.read)
    views = TokenViews(store.usage, managed.derivation, rule.standings, rule.subject_limits, clock)
    clients = Clients(callers, rule.accounts.login, rule.accounts.known)
    operations = OperationsApi(health, store.monitor, audit.log, metrics, address)
    # The API reference lists the operations in this order.
    groups: tuple[OperationGroup, ...] = (
        BatchApi(Batch(rule.authority, store.credentials), clients),
        GatewayApi(rule.authority, rule.one_time, metrics, trusted, accepted),
        OneTimeApi(rule.one_time, callers),
        SessionApi(rule.sessions, metrics),
        TokenListApi(managed.queries, views),
        ManagedApi(managed.tokens, managed.bulk, managed.rotation, views, clock),
        SelfServiceApi(managed.tokens, managed.revocation, managed.rotation, managed.derivation, views),
        SubjectLimitsApi(rule.subject_limits),
        BulkRevocationApi(managed.bulk, views),
        AdminSessionsApi(rule.sessions, rule.accounts.known),
        ExplainApi(rule.explainer, clock, settings.accept_basic),
        UsageApi(store.usage, managed.tokens, rule.hygiene, store.token_counts, clock),
        ImportExportApi(managed.imports, managed.admission, managed.queries, views, audit.log, clock),
        WebhooksApi(webhooks.registry, webhooks.log),
        AuditApi(audit.reader, audit.verification, audit.log),
        OAuthApi(rule.authority, managed.revocation, clients, address, settings.kubernetes_audience_list),
        operations,
        DashboardApi(rule.sessions, rule.accounts.known, clock, cookies, settings),
        *([DocsApi()] if settings.docs else []),
    )
    known: dict[type, Reader] = {Caller: callers.admit, Holder: callers.holder}
    every = [endpoint for group in groups for endpoint in group.endpoints(known)]
    # With a separate metrics port, clients of the service's port cannot ask for the metrics.
    # `==` and not `is`: each access to a bound method makes a new object.
    apart = [endpoint for endpoint in every if settings.metrics_port and endpoint.handler == operations.metrics]
    listed = [endpoint for endpoint in every if endpoint not in apart]
    operations.describe([endpoint.operation for endpoint in listed])
    return listed, apart
