"""One entry of the audit log, and the closed set of its actions."""

from typing import Any, Literal

import msgspec

# Filters are checked against these, and metrics count by them.
Action = Literal[
    "token.created",
    "token.imported",
    "token.derived",
    "token.updated",
    "token.activated",
    "token.deactivated",
    "token.rotated",
    "token.revoked",
    "token.expired",
    "session.created",
    "session.revoked",
    "login.failed",
    "login.throttled",
    "account.reloaded",
    "subject.limited",
    "subject.unlimited",
    "webhook.created",
    "webhook.rotated",
    "webhook.activated",
    "webhook.deactivated",
    "webhook.deleted",
    "export.made",
    "sweep.made",
    "store.confirmed",
]


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change, as the script that makes it writes it into the stream."""

    at: int
    action: str
    actor: str
    target: str
    address: str
    channel: str
    request_id: str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
