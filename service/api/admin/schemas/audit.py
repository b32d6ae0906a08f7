"""Audit entries on the wire, and the webhook events made from them."""

from typing import Any

import msgspec

from service.api.admin.schemas.limits import from_limits
from service.api.http.timestamps import Instant, rfc3339, rfc3339_or_none
from service.model import ManagedToken, RateLimit
from service.tokens.audit.entries import AuditEntry
from service.tokens.audit.reader import Event
from service.tokens.audit.verification import Fault, Report
from service.tokens.webhooks.events import EventType

# The fields of a record in an entry, under their names in the API.
_NAMES = {
    "networks": "allowedNetworks",
    "active": "isActive",
    "predecessor_until": "oldSecretValidUntil",
    "rate_limits": "limits",
}
_encode = msgspec.json.Encoder().encode
_INSTANTS = frozenset({"expires_at", "predecessor_until", "first", "last"})


class AuditShown(msgspec.Struct, rename="camel"):
    """One change or sign-in.

    `before` and `after` hold what changed, and the name of a token that was switched off or revoked. A
    `login.throttled` entry may stand for several refusals: then `after` holds their `count` and the instants of the
    `first` and the `last`.
    """

    id: str
    at: Instant
    action: str
    actor: str
    target: str
    address: str
    channel: str
    request_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditPage(msgspec.Struct, rename="camel"):
    """Audit entries, newest first; `nextCursor` leads to older ones."""

    entries: list[AuditShown]
    next_cursor: str | None


class CompleteSince(msgspec.Struct):
    """The parts of the log: changes by people; sign-ins and expirations; refused sign-ins."""

    changes: Instant | None
    occurrences: Instant | None
    refusals: Instant | None


class AuditVerification(msgspec.Struct, rename="camel"):
    """What a verification found.

    `unsealed` entries, from the last second, are protected by their own MAC alone. `completeSince` is the instant
    from which on every entry is kept; null means that the size bound has not removed any entry of that part.
    """

    intact: bool
    entries: int
    unsealed: int
    faults: list[Fault]
    complete_since: CompleteSince


class EventData(msgspec.Struct, rename="camel"):
    """What happened to a token; `name` is null when there is no record of it."""

    token_id: str
    name: str | None
    actor: str
    address: str
    channel: str
    request_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class EventMessage(msgspec.Struct):
    """A webhook's message, in the form Standard Webhooks recommends."""

    type: EventType
    timestamp: Instant
    id: str
    data: EventData


def shown(event: Event) -> AuditShown:
    entry = event.entry
    return AuditShown(
        id=str(event.position),
        at=rfc3339(entry.at),
        action=entry.action,
        actor=entry.actor,
        target=entry.target,
        address=entry.address,
        channel=entry.channel,
        request_id=entry.request_id,
        before=facts(entry.before),
        after=facts(entry.after),
    )


def verified(report: Report) -> AuditVerification:
    since = {stream.name.lower(): rfc3339_or_none(at or 0) for stream, at in report.complete_since.items()}
    return AuditVerification(
        report.intact, report.entries, report.unsealed, report.faults, msgspec.convert(since, CompleteSince)
    )


def message(kind: EventType, event_id: str, entry: AuditEntry, token: ManagedToken | None) -> str:
    """The body of a webhook's message about an event. `event_id` is the message's id, the same at each attempt."""
    data = EventData(
        entry.target,
        token.name if token else None,
        entry.actor,
        entry.address,
        entry.channel,
        entry.request_id,
        facts(entry.before),
        facts(entry.after),
    )
    return _encode(EventMessage(kind, rfc3339(entry.at), event_id, data)).decode()


def test_message(message_id: str, now: int) -> str:
    """The body of a test message to a webhook; `now` in epoch seconds."""
    # Not an `EventMessage`: `webhook.test` is no event, and webhooks must not be able to subscribe to it.
    return _encode({"type": "webhook.test", "timestamp": rfc3339(now), "id": message_id, "data": {}}).decode()


def facts(recorded: dict[str, Any] | None) -> dict[str, Any] | None:
    """The fields of a record in an entry, under their names in the API."""
    if recorded is None:
        return None
    return dict(_fact(name, value) for name, value in recorded.items())


def _fact(name: str, value: Any) -> tuple[str, Any]:
    if name in _INSTANTS and isinstance(value, int):
        value = rfc3339_or_none(value)
    elif name == "rate_limits":
        value = from_limits(msgspec.convert(value, tuple[RateLimit, ...]))
    return _NAMES.get(name) or _camel(name), value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
