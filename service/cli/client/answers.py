"""The parts of the service's answers that commands read. An answer of another shape comes from something else.

Additional members are kept, because a newer service may answer more.
"""

from typing import Any, TypedDict

Item = dict[str, Any]


class Token(TypedDict):
    id: str
    name: str
    token: str
    status: str
    createdAt: str
    createdBy: str
    expiresAt: str | None
    lastUsedAt: str | None
    scopes: list[str]
    limits: list[Item]
    subjectLimits: list[Item]


class Page(TypedDict):
    nextCursor: str | None


class TokenPage(Page):
    tokens: list[Token]
    total: int | None


class OneToken(TypedDict):
    token: Token


class Message(TypedDict):
    message: str


class Changed(TypedDict):
    updated: list[str]
    skipped: list[Item]


class Slice(Changed, Page):
    """What one request of a bulk change did."""


class Matched(TypedDict):
    matched: int
    sample: list[Token]


class Counts(TypedDict):
    total: int
    active: int
    expired: int
    inactive: int
    revoked: int


class HygieneCounts(TypedDict):
    idle: dict[str, int]
    neverUsed: int
    neverExpire: int
    expired: dict[str, int]


class TokenUsage(TypedDict):
    days: list[Item]
    lastUsedAt: str | None
    lastAddress: str | None


class ServiceUsage(TypedDict):
    hours: list[Item]


class AuditPage(Page):
    entries: list[Item]


class Verification(TypedDict):
    intact: bool
    entries: int
    unsealed: int
    faults: list[Item]
    completeSince: dict[str, str | None]


class Imported(TypedDict):
    imported: int
    byDigest: int
    shortened: int
    skipped: list[Item]


class Explained(TypedDict):
    outcome: str
    checks: list[Item]
    answer: Item


class SignedIn(TypedDict):
    token: str
    expiry_time: int


class SessionList(TypedDict):
    sessions: list[Item]


class AccountList(TypedDict):
    accounts: list[Item]


class Ended(TypedDict):
    ended: int


class SubjectLimits(TypedDict):
    subject: str
    limits: list[Item]


class SubjectPage(Page):
    subjects: list[SubjectLimits]


class Webhook(TypedDict):
    id: str
    isActive: bool
    tampered: bool


class WebhookSecret(TypedDict):
    id: str
    url: str
    secret: str


class WebhookList(TypedDict):
    webhooks: list[Item]


class Taken(TypedDict):
    """What the receiver of a webhook answered."""

    taken: bool
    status: int | None
    error: str | None


class DeliveryList(TypedDict):
    deliveries: list[Item]
