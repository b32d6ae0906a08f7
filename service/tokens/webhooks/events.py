"""The types of events that webhooks can receive."""

from enum import StrEnum


class EventType(StrEnum):
    """The changes of managed tokens, and events that no change causes."""

    CREATED = "token.created"
    UPDATED = "token.updated"
    ACTIVATED = "token.activated"
    DEACTIVATED = "token.deactivated"
    ROTATED = "token.rotated"
    REVOKED = "token.revoked"
    EXPIRED = "token.expired"
    IMPORTED = "token.imported"
    DERIVED = "token.derived"
    EXPIRING = "token.expiring"
    CONSUMED_TWICE = "token.consumed_twice"
    LIMIT_EXCEEDED = "token.limit_exceeded"
