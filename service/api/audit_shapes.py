"""Audit entries on the wire, and the events that webhooks tell of them."""

from __future__ import annotations

from typing import Any

import msgspec

from service.api.times import rfc3339, rfc3339_or_none
from service.tokens.audit import Event

# What entries hold of a record, under the names that the API has for it.
_NAMES = {"networks": "allowedNetworks", "active": "isActive", "predecessor_until": "oldSecretValidUntil"}
_INSTANTS = frozenset({"expires_at", "predecessor_until"})


class AuditShown(msgspec.Struct, rename="camel"):
    """One change or sign-in; `before` and `after` hold what changed."""

    id: str
    at: str
    action: str
    actor: str
    target: str
    address: str
    channel: str
    request_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(msgspec.Struct, rename="camel"):
    """Entries, newest first; `nextCursor` leads to older ones."""

    entries: list[AuditShown]
    next_cursor: str | None


def shown(event: Event) -> AuditShown:
    """An entry as its readers see it."""
    entry = event.entry
    return AuditShown(
        id=str(event.position), at=rfc3339(entry.at), action=entry.action, actor=entry.actor,
        target=entry.target, address=entry.address, channel=entry.channel, request_id=entry.request_id,
        before=facts(entry.before), after=facts(entry.after),
    )  # fmt: skip


def facts(recorded: dict[str, Any] | None) -> dict[str, Any] | None:
    """What an entry says of a record, in the words of the API."""
    if recorded is None:
        return None
    return dict(_fact(name, value) for name, value in recorded.items())


def _fact(name: str, value: Any) -> tuple[str, Any]:
    if name in _INSTANTS and isinstance(value, int):
        value = rfc3339_or_none(value)
    elif name == "rate_limit" and isinstance(value, dict):
        value = value | {"burst": value.get("burst") or value.get("limit")}
    return _NAMES.get(name) or _camel(name), value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
