"""The rules: what may happen to a token, each over the stores it needs and no more."""

from collections.abc import Callable
from typing import NamedTuple

from service.api.admin.schemas.audit import message, test_message
from service.composition.stores import Stores
from service.keyring import Keyring
from service.metrics import Metrics
from service.settings import Settings
from service.store.one_time import OneTimeStore
from service.tokens.accounts.accounts import Account, Accounts
from service.tokens.accounts.attempts import Attempts
from service.tokens.accounts.login import Login
from service.tokens.accounts.passwords import PasswordChecker
from service.tokens.audit.checkpoints import Checkpoints
from service.tokens.audit.log import AuditLog
from service.tokens.audit.reader import AuditReader
from service.tokens.audit.refusals import Refusals
from service.tokens.audit.verification import Verification
from service.tokens.authority import Authority
from service.tokens.explanation.explainer import Explainer
from service.tokens.hygiene import Hygiene
from service.tokens.idempotency import Repeats
from service.tokens.lifetime import Lifetime
from service.tokens.limits.standings import Standings
from service.tokens.limits.subjects import KnownSubjects, SubjectLimits
from service.tokens.managed.bulk import Bulk
from service.tokens.managed.derivation import Derivation
from service.tokens.managed.import_admission import ImportAdmission
from service.tokens.managed.imports import Imports
from service.tokens.managed.queries import ManagedQueries
from service.tokens.managed.records import ManagedRecords
from service.tokens.managed.revocation import Revocation
from service.tokens.managed.rotation import Rotation
from service.tokens.managed.seals import Seals
from service.tokens.managed.sweeper import Sweeper
from service.tokens.managed.tokens import ManagedTokens
from service.tokens.one_time import OneTimePolicy, OneTimeTokens
from service.tokens.secret import Minter
from service.tokens.sessions import SessionLifetime, Sessions
from service.tokens.usage import Usage, UsageSeries
from service.tokens.webhooks.deliveries import Deliveries
from service.tokens.webhooks.delivery import DeliverySeal
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.messages import Messages
from service.tokens.webhooks.notices import Notices
from service.tokens.webhooks.receiver import Post
from service.tokens.webhooks.registry import Webhooks
from service.tokens.webhooks.sender import Sender
from service.tokens.webhooks.ssrf import Destinations, resolve
from service.tokens.webhooks.trial import Trial


class Rules(NamedTuple):
    """Every rule of one process."""

    keyring: Keyring
    accounts: Accounts
    passwords: PasswordChecker
    authority: Authority
    login: Login
    sessions: Sessions
    one_time: OneTimeTokens
    usage: Usage
    usage_series: UsageSeries
    standings: Standings
    subject_limits: SubjectLimits
    explainer: Explainer
    hygiene: Hygiene
    audit_log: AuditLog
    refusals: Refusals
    audit: AuditReader
    checkpoints: Checkpoints
    verification: Verification
    destinations: Destinations
    webhooks: Webhooks
    notices: Notices
    deliveries: Deliveries
    delivery_log: DeliveryLog
    trial: Trial
    managed: ManagedTokens
    queries: ManagedQueries
    rotation: Rotation
    revocation: Revocation
    derivation: Derivation
    bulk: Bulk
    imports: Imports
    sweeper: Sweeper


def rules(
    settings: Settings,
    store: Stores,
    keyring: Keyring,
    metrics: Metrics,
    accounts: dict[str, Account],
    clock: Callable[[], float],
) -> Rules:
    """The rules over these stores. `accounts`: who may sign in at first."""
    shards = store.shards
    keep = max(1, settings.audit_max_entries // len(shards))
    minter = Minter(keyring, shards)
    known_accounts, passwords = Accounts(accounts, keyring), PasswordChecker()

    audit_log = AuditLog(keyring, shards, clock, keep=keep)
    refusals = Refusals(audit_log, clock)
    checkpoints = Checkpoints(
        store.audit, shards, keyring, keep=keep, count=metrics.audit_events.inc, head=metrics.sealed
    )
    destinations = Destinations(resolve, allow_private=settings.webhook_allow_private)
    webhooks = Webhooks(store.webhooks, store.outbox, shards, keyring, audit_log, destinations, clock)
    notices = Notices(store.webhooks, webhooks, store.managed, audit_log, clock)
    messages = Messages(store.managed, keyring, message, clock)
    delivery_seal = DeliverySeal(keyring)
    delivery_log = DeliveryLog(store.outbox, shards, delivery_seal)
    post = Post(store.outbox, messages, delivery_seal, Sender(destinations), clock, metrics.webhook_delivered)
    deliveries = Deliveries(webhooks, notices, shards, post)
    idle_seconds = settings.session_idle_seconds
    usage = Usage(store.usage, clock, idle_seconds=idle_seconds, on_limited=notices.limit_exceeded)
    tampered, paused = metrics.tampered.inc, metrics.limits_paused.inc
    subjects = KnownSubjects(store.subjects)
    authority = Authority(
        store.credentials, keyring, known_accounts, usage, subjects, on_tampered=tampered, on_paused=paused
    )
    one_time = OneTimeTokens(
        OneTimeStore(shards, store.fence, on_spent_twice=notices.consumed_twice),
        shards,
        authority,
        keyring,
        minter,
        OneTimePolicy(
            settings.one_time_ttl_seconds,
            settings.one_time_issue_per_minute,
            open_to_all=settings.one_time_issue == "open",
        ),
        metrics.decisions,
    )
    login = Login(known_accounts, Attempts(store.attempts, keyring), passwords, audit_log, refusals, keyring)
    sessions = Sessions(
        store.sessions,
        minter,
        authority,
        login,
        audit_log,
        SessionLifetime(settings.session_ttl_seconds, idle_seconds, clock),
        metrics.decisions,
    )
    seals = Seals(authority, store.credentials, keyring)
    records = ManagedRecords(store.managed, store.derived, seals, audit_log, clock, metrics.decisions)
    lifetime = Lifetime(settings.max_lifetime_days, clock)
    repeats = Repeats(store.requests, keyring, minter, shards)
    derivation = Derivation(store.derived, records, authority, repeats, audit_log, metrics.decisions, clock)
    managed = ManagedTokens(store.managed, records, shards, repeats, lifetime, clock)
    queries = ManagedQueries(store.listing, store.token_counts, clock)
    audit = AuditReader(store.audit, shards)
    sweeper = Sweeper(store.expiry, store.managed, shards, audit_log)
    admission = ImportAdmission(authority.imported, shards, seals, lifetime, clock)
    imports = Imports(store.imports, admission, seals, authority.imported, audit_log, clock)
    return Rules(
        keyring=keyring,
        accounts=known_accounts,
        passwords=passwords,
        authority=authority,
        login=login,
        sessions=sessions,
        one_time=one_time,
        usage=usage,
        usage_series=UsageSeries(store.usage, clock),
        standings=Standings(store.credentials, clock),
        subject_limits=SubjectLimits(store.subjects, store.credentials, audit_log, clock),
        explainer=Explainer(authority, store.credentials, store.managed, audit, known_accounts, keyring),
        hygiene=Hygiene(store.hygiene, clock),
        audit_log=audit_log,
        refusals=refusals,
        audit=audit,
        checkpoints=checkpoints,
        verification=Verification(store.audit, shards, keyring, checkpoints, keep=keep),
        destinations=destinations,
        webhooks=webhooks,
        notices=notices,
        deliveries=deliveries,
        delivery_log=delivery_log,
        trial=Trial(webhooks, post, delivery_log, test_message),
        managed=managed,
        queries=queries,
        rotation=Rotation(store.managed, records, shards, repeats, clock),
        revocation=Revocation(
            store.credentials, records, authority, sessions, one_time, sweeper.catch_up, imports.detect_imported
        ),
        derivation=derivation,
        bulk=Bulk(managed, records, queries, store.listing, clock),
        imports=imports,
        sweeper=sweeper,
    )
