"""The types that every layer shares: kinds, outcomes and the records they travel in. No behaviour.

`gc=False` leaves structs that exist by the thousand out of garbage collection: no reference cycle can include them.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

# `\Z`, because Python's `$` also matches before a final line end.
Scope = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9:._*-]{1,64}\Z",
        description="`orders:*` covers what begins with `orders:`, and `orders:` itself, but not `orders`",
    ),
]

# Everything that a token permits, or that a request requires.
Scopes = tuple[str, ...]
# The name of a limit without a given name.
DEFAULT_LIMIT = "default"


class Kind(StrEnum):
    """What a token is; determined by the form of its secret, and bound into its digest."""

    ONE_TIME = "one_time"
    SESSION = "session"
    MANAGED = "managed"


class Outcome(StrEnum):
    """Why a token may or may not be used now. Counted exactly; from outside most are the same."""

    ACTIVE = "active"
    ABSENT = "absent"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    INACTIVE = "inactive"
    REVOKED = "revoked"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    NETWORK_DENIED = "network_denied"
    VOIDED = "voided"
    RATE_LIMITED = "rate_limited"
    USES_EXHAUSTED = "uses_exhausted"
    UNAVAILABLE = "unavailable"


class Status(StrEnum):
    """The state of a managed token as people see it. Revoked wins over expired, expired over inactive."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    EXPIRED = "expired"
    REVOKED = "revoked"


# For hot code: reading a member of an enumeration takes as long as the comparison it is read for.
STATUS_ACTIVE, STATUS_INACTIVE, STATUS_EXPIRED, STATUS_REVOKED = Status
KIND_SESSION, KIND_MANAGED, OUTCOME_ACTIVE = Kind.SESSION, Kind.MANAGED, Outcome.ACTIVE


class Role(StrEnum):
    """What an account may do: change tokens, read them, or only hold a session."""

    ADMIN = "admin"
    VIEWER = "viewer"
    USER = "user"


class Calendar(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """When a quota is full again: with each hour, day, or month from `day` on, in a time zone by its IANA name."""

    unit: str
    day: int = 1
    time_zone: str = "UTC"


class RateLimit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`limit` requests in `period_seconds`, at most `burst` of them at once (0 means `limit`).

    With a `calendar` it is a quota: `limit` requests in each window, without a period or burst. Its state is stored
    under its name, so two limits of a token must have different names.
    """

    limit: int
    period_seconds: int
    burst: int = 0
    name: str = DEFAULT_LIMIT
    calendar: Calendar | None = None

    @property
    def at_once(self) -> int:
        """How many requests may come together after a pause."""
        return self.burst or self.limit

    @property
    def interval(self) -> float:
        """Milliseconds from one request to the next once the burst is used up; 1 for a quota, which counts requests."""
        return self.period_seconds * 1000 / self.limit if self.calendar is None else 1


class Credential(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The record that Redis holds under a digest: everything a validation needs, in one GET.

    Rarely used fields come last, because defaults at the end are not written. Instants are epoch seconds; `expires_at`
    0 means never. `password_mark` binds a session to its account's password. `max_uses` 0 means unlimited. `data` is
    the JSON that an issuer attached to a one-time token. `ancestors` are the ids of the tokens it is derived from, its
    parent last. `pool` is the id of the token whose limits and uses it charges, empty for its own. `charged_as` is the
    subject whose shared limits it charges, empty for its own subject.
    """

    # Stored as an array: a new field must be the last one and have a default, or stored records could not be read.
    token_id: str
    subject: str
    scopes: tuple[str, ...]
    issued_at: int
    expires_at: int
    name: str = ""
    client: str = ""
    kind: Kind = Kind.MANAGED
    password_mark: str = ""
    data: str = ""
    rate_limits: tuple[RateLimit, ...] = ()
    networks: tuple[str, ...] = ()
    max_uses: int = 0
    ancestors: tuple[str, ...] = ()
    pool: str = ""
    charged_as: str = ""


class Quota(msgspec.Struct, frozen=True):
    """What a rate limit has left after one request, in the terms of the RateLimit header fields.

    `retry_after` is 0 unless this limit refused the request, and also 0 if one of the limits would always refuse it.
    """

    limit: RateLimit
    remaining: int
    reset_seconds: int
    retry_after: int


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The answer to one question about one secret: the outcome, and the record if there is a usable one."""

    outcome: Outcome
    credential: Credential | None = None
    missing_scopes: tuple[str, ...] = ()
    quotas: tuple[Quota, ...] = ()

    @property
    def active(self) -> bool:
        """True if the secret may be used now."""
        return self.outcome is Outcome.ACTIVE

    @property
    def accepted(self) -> Credential | None:
        """The record of a secret that may be used now, else None."""
        return self.credential if self.active else None

    @property
    def retry_after(self) -> int:
        """In how many seconds every limit that refused the request has room again."""
        return max((quota.retry_after for quota in self.quotas), default=0)


class ManagedToken(msgspec.Struct, frozen=True, gc=False):
    """The metadata of a managed token: everything except its secret. Instants are epoch seconds, 0 means none or never.

    Only the creation is in microseconds, because lists are paged by it, and one second may bring many tokens.
    `last_hour`: the hour of the last use, with the counts of that hour, in the form of `store.usage`; else empty.
    `contests`: how often somebody asked whether a name reserved for this token is void.
    `imported`: another system made the secret, and it is stored by this rule (`tokens.imported.rules`); else empty.
    `predecessor`: the digest of the previous secret during its overlap; else empty.
    """

    token_id: str
    name: str
    last_eight: str
    digest: bytes
    created_by: str
    created_micros: int
    expires_at: int = 0
    description: str = ""
    subject: str = ""
    scopes: tuple[str, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    networks: tuple[str, ...] = ()
    max_uses: int = 0
    uses_left: int = 0
    # Not shared: msgspec gives each struct its own empty dict.
    metadata: dict[str, str] = {}
    active: bool = True
    revoked_at: int = 0
    last_used_at: int = 0
    last_address: str = ""
    last_agent: str = ""
    rotated_at: int = 0
    rotations: int = 0
    predecessor: bytes = b""
    predecessor_until: int = 0
    predecessor_used_at: int = 0
    imported: str = ""
    version: int = 1
    contests: int = 0
    last_hour: str = ""

    @property
    def created_at(self) -> int:
        return self.created_micros // 1_000_000

    @property
    def charged(self) -> str:
        """The id of the token whose limits a request charges."""
        return self.token_id

    @property
    def shares_as(self) -> str:
        """The subject whose shared limits a request also charges."""
        return self.subject

    def status(self, now: float) -> Status:
        """The state shown to people at `now`."""
        if self.revoked_at:
            return STATUS_REVOKED
        if self.expires_at and self.expires_at <= now:
            return STATUS_EXPIRED
        return STATUS_ACTIVE if self.active else STATUS_INACTIVE

    def in_overlap(self, now: float) -> bool:
        """True while the previous secret works beside the present one."""
        # What ends a token deletes that secret's credential, but leaves these fields in the record.
        return self.predecessor_until > now and self.status(now) is STATUS_ACTIVE


class DerivedToken(ManagedToken, frozen=True, gc=False):
    """The metadata of a derived token. `pool` and `charged_as` are those of its credential."""

    pool: str = ""
    charged_as: str = ""

    @property
    def charged(self) -> str:
        return self.pool or self.token_id

    @property
    def shares_as(self) -> str:
        return self.charged_as or self.subject


class Statistics(msgspec.Struct, frozen=True, rename="camel"):
    """How many tokens there are. `total` is active + expired + inactive, without the revoked ones."""

    total: int
    active: int
    expired: int
    inactive: int
    revoked: int
    expiring14d: int
    one_time_outstanding: int
    sessions: int


class Origin(msgspec.Struct, frozen=True):
    """Who acts and by what way, for the audit log: an account, a token's id or `anonymous`, and from which address.

    `bound` is the managed token whose rights limit the action. None for administrators, who have every right, for the
    holder who changes the own token, and for the service itself.
    """

    actor: str
    address: str
    channel: str
    request_id: str
    bound: Credential | None = None
