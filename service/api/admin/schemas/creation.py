"""What a managed token is created with, and how it becomes the terms of a record."""

from typing import Literal

import msgspec

from service.api.admin.schemas.limits import Limits, to_limits
from service.api.admin.schemas.tokens import (
    Description,
    MaxUses,
    Metadata,
    Name,
    Networks,
    Scopes,
    Subject,
    clean_name,
    clean_networks,
)
from service.api.http.timestamps import Instant, parse_rfc3339
from service.errors import wrong
from service.tokens.managed.tokens import NewToken

Duration = Literal["7days", "1month", "6months", "1year", "never"]


class Terms(msgspec.Struct, rename="camel", kw_only=True):
    """What every token has, wherever it was made."""

    name: Name
    description: Description = ""
    subject: Subject | None = None
    scopes: Scopes = ()
    rate_limits: Limits = ()
    # Not shared: msgspec makes each struct an empty one of its own.
    metadata: Metadata = {}
    allowed_networks: Networks = ()
    max_uses: MaxUses | None = None


class CreateToken(Terms, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What a managed token is created with; give `duration` or `expiresAt`."""

    duration: Duration | None = None
    expires_at: Instant | None = None


def expiry(duration: str | None, expires_at: str | None, now: float, days: dict[str, int]) -> int:
    """When a token expires, epoch seconds, 0 for never. Raises InvalidRequest unless exactly one is given."""
    # Not to give an end is no way to ask for none: by mistake it would make a token for ever.
    if (duration is None) == (expires_at is None):
        raise wrong("duration", "give either duration (7days, 1month, 6months, 1year, never) or expiresAt")
    if expires_at is not None:
        return parse_rfc3339(expires_at, "expiresAt")
    return 0 if duration == "never" or duration is None else int(now) + days[duration] * 86400


def new_token(wanted: Terms, expires_at: int) -> NewToken:
    """The terms of a token, cleaned. Raises InvalidRequest."""
    return NewToken(
        name=clean_name(wanted.name),
        expires_at=expires_at,
        description=wanted.description,
        subject=wanted.subject or "",
        scopes=wanted.scopes,
        rate_limits=to_limits(wanted.rate_limits),
        networks=clean_networks(wanted.allowed_networks),
        max_uses=wanted.max_uses or 0,
        metadata=wanted.metadata,
    )
