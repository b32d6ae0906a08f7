"""The rules: what may happen to a token, each over exactly the stores it needs."""

from collections.abc import Callable
from typing import NamedTuple

from service.api.admin.schemas.audit import message, test_message
from service.composition.stores import Stores
from service.keyring import Keyring
from service.metrics import Metrics
from service.settings import Settings
from service.store.one_time import OneTimeStore
from service.tokens.accounts.accounts import Account, Accounts
from service.tokens.accounts.login import Attempts, Login
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
from service.tokens.limits import KnownSubjects, Standings, SubjectLimits
from service.tokens.managed.bulk import Bulk
from service.tokens.managed.derivation import Derivation
from service.tokens.managed.import_admission import ImportAdmission
from service.tokens.managed.imports import Imports
from service.tokens.managed.name_holders import NameHolders
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
from service.tokens.usage import Usage
from service.tokens.webhooks.deliveries import Deliveries
from service.tokens.webhooks.delivery import Dispatcher
from service.tokens.webhooks.delivery_log import DeliveryLog
from service.tokens.webhooks.lookups import Lookups
from service.tokens.webhooks.notices import Notices
from service.tokens.webhooks.registry import Webhooks
from service.tokens.webhooks.sender import Sender
from service.tokens.webhooks.ssrf import Destinations

# The log may hold this many times the kept entries while they wait to be sealed.
_ROOM = 4
# At least this many, because few may be kept. Entries are sealed every second, and no server writes more in that time.
_LEAST_ROOM = 50_000


class Foundation(NamedTuple):
    """What the rules of a process are built on."""

    settings: Settings
    store: Stores
    keyring: Keyring
    metrics: Metrics
    clock: Callable[[], float]


class AuditRules:
    """The audit log: write, seal, read and verify."""

    def __init__(self, on: Foundation) -> None:
        shards, store, keyring, counted = on.store.shards, on.store.audit, on.keyring, on.metrics.audit_events.inc
        # The setting counts entries of the whole log, which is spread over all shards.
        keep = max(1, on.settings.audit_max_entries // len(shards))
        # The room for removals, which never wait for a seal; more would fill the server. Other entries use half.
        room = max(_ROOM * keep, _LEAST_ROOM // len(shards))
        self.checkpoints = Checkpoints(store, keyring, keep, room // 2, counted, on.metrics.sealed)
        self.log = AuditLog(keyring, shards, on.clock, room, self.checkpoints.is_behind)
        self.refusals = Refusals(self.log, on.clock)
        self.reader = AuditReader(store)
        self.verification = Verification(store, keyring, self.checkpoints, keep)


class AccountRules:
    """Who may sign in. `known` are the accounts of the file."""

    def __init__(self, on: Foundation, audit: AuditRules, accounts: dict[str, Account]) -> None:
        attempts = Attempts(on.store.attempts, on.keyring)
        self.known, self.passwords = Accounts(accounts, on.keyring), PasswordChecker()
        self.login = Login(self.known, attempts, self.passwords, audit.log, audit.refusals)


class WebhookRules:
    """Which receivers are sent events, which events, and with what result."""

    def __init__(self, on: Foundation, audit_log: AuditLog, repeats: Repeats) -> None:
        store, shards, keyring, clock = on.store, on.store.shards, on.keyring, on.clock
        self.destinations = Destinations(Lookups().resolve, allow_private=on.settings.webhook_allow_private)
        self.registry = Webhooks(store.webhooks, shards, keyring, audit_log, self.destinations, repeats, clock)
        self.notices = Notices(store.webhooks, self.registry, store.managed, audit_log, clock)
        # api/, a layer above, decides how an event is written on the wire: the rules are given its function.
        sender, delivered = Sender(self.destinations), on.metrics.webhook_deliveries
        dispatcher = Dispatcher(shards, sender, clock, delivered, store.managed, keyring, message)
        self.deliveries = Deliveries(self.registry, self.notices, dispatcher)
        self.log = DeliveryLog(self.registry, dispatcher, test_message)


class ManagedRules:
    """The whole life of managed tokens. `revocation` also ends sessions and one-time tokens."""

    def __init__(
        self,
        on: Foundation,
        repeats: Repeats,
        authority: Authority,
        audit_log: AuditLog,
        sessions: Sessions,
        one_time: OneTimeTokens,
    ) -> None:
        settings, store, keyring, metrics, clock = on
        shards = store.shards
        seals = Seals(authority, store.credentials, keyring)
        records = ManagedRecords(store.managed, store.derived, seals, audit_log, clock, metrics.decisions)
        lifetime = Lifetime(settings.max_lifetime_days, clock)
        name_holders = NameHolders(store.managed, clock)
        self.tokens = ManagedTokens(store.managed, records, shards, repeats, lifetime, name_holders, clock)
        self.queries = ManagedQueries(store.listing, store.token_counts, clock)
        self.rotation = Rotation(store.managed, records, shards, repeats, clock)
        self.derivation = Derivation(store.derived, records, authority, repeats, audit_log, metrics.decisions, clock)
        self.bulk = Bulk(store.managed, self.tokens, records, self.queries, store.listing, clock)
        self.sweeper = Sweeper(store.expiry, store.managed, shards, audit_log)
        self.admission = ImportAdmission(authority, shards, seals, lifetime, clock)
        self.imports = Imports(store.imports, self.admission, seals, authority.imported, audit_log, name_holders, clock)
        self.revocation = Revocation(
            store.credentials,
            records,
            authority,
            sessions,
            one_time,
            self.sweeper.catch_up,
            self.imports.detect_imported,
        )


class Rules:
    """Every rule of a process: those that decide on secrets, and those that act on tokens."""

    def __init__(self, on: Foundation, accounts: dict[str, Account]) -> None:
        """`accounts`: the accounts that may sign in at the start."""
        settings, store, keyring, metrics, clock = on
        minter = Minter(keyring, store.shards)
        repeats = Repeats(store.requests, keyring, minter, store.shards, on.clock)
        self.audit = audit = AuditRules(on)
        self.accounts = AccountRules(on, audit, accounts)
        self.webhooks = WebhookRules(on, audit.log, repeats)
        noticed, idle, dropped = self.webhooks.notices, settings.session_idle_seconds, metrics.usage_dropped
        self.usage = Usage(
            store.usage,
            store.sessions,
            clock,
            idle_seconds=idle,
            on_limited=noticed.limit_exceeded,
            on_dropped=dropped.inc,
        )
        self.authority = Authority(
            store.credentials,
            keyring,
            self.accounts.known,
            self.usage,
            KnownSubjects(store.subjects),
            on_tampered=metrics.tampered.inc,
            on_paused=metrics.limits_paused.inc,
        )
        self.one_time = OneTimeTokens(
            # Made here and not among the stores, because it reports to a rule.
            OneTimeStore(store.shards, store.fence, on_spent_twice=noticed.consumed_twice),
            store.shards,
            self.authority,
            keyring,
            minter,
            OneTimePolicy(
                settings.one_time_ttl_seconds,
                settings.one_time_issue_per_minute,
                open_to_all=settings.one_time_issue == "open",
            ),
            metrics.decisions,
        )
        lifetime = SessionLifetime(settings.session_ttl_seconds, idle, clock)
        self.sessions = Sessions(
            store.sessions, minter, self.authority, self.accounts.login, audit.log, lifetime, metrics.decisions
        )
        self.subject_limits = SubjectLimits(store.subjects, store.credentials, audit.log, clock)
        self.standings = Standings(store.credentials, clock)
        self.hygiene = Hygiene(store.hygiene, clock)
        self.explainer = Explainer(self.authority, store.credentials, store.managed, audit.reader, keyring)
        self.managed = ManagedRules(on, repeats, self.authority, audit.log, self.sessions, self.one_time)
