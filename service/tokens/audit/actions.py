"""What an audit entry can say was done: a closed set, which filters are held against and metrics count by."""

from typing import Literal

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
