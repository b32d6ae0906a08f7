"""What a managed token is created with: the form of each term, and how they become the terms of a record."""

import unicodedata
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.addresses import as_written, read_networks
from service.api.admin.schemas.limits import LimitsGiven, limits_given
from service.api.http.timestamps import Instant, parse_rfc3339
from service.errors import wrong
from service.identifiers import SUBJECT, TOKEN_ID
from service.model import Scope
from service.tokens.lifetime import DURATIONS
from service.tokens.managed.tokens import NewToken

Name = Annotated[str, Meta(min_length=1, max_length=80, description="1 to 80 characters, unique")]
Description = Annotated[str, Meta(max_length=500)]
# `\Z` and not `$`, because `$` also matches before a final line end.
Subject = Annotated[
    str, Meta(pattern=rf"^({SUBJECT})?\Z", description="whom it speaks for upstream, not `-`; empty: nobody")
]
Scopes = Annotated[tuple[Scope, ...], Meta(max_length=50)]
# An IPv6 address that ends in IPv4 form has 45 characters, its prefix length up to four more.
Networks = Annotated[tuple[Annotated[str, Meta(max_length=49)], ...], Meta(max_length=50, description="CIDR")]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=256)]], Meta(max_length=20)
]
_UNSEEN = frozenset({"Cf", "Zs"})  # joiners, which emoji use, marks of direction, blanks
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})  # in a name: controls, lone surrogates, ends of lines and paragraphs
MaxUses = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Id = Annotated[str, Meta(pattern=rf"^{TOKEN_ID.pattern}\Z")]
Duration = Literal["7days", "1month", "6months", "1year", "never"]


class Terms(LimitsGiven, rename="camel", kw_only=True):
    """What every token has, whether it was made here or imported."""

    name: Name
    description: Description = ""
    subject: Subject | None = None
    scopes: Scopes = ()
    metadata: Metadata = msgspec.field(default_factory=dict)
    allowed_networks: Networks = ()
    max_uses: MaxUses | None = None


class CreateToken(Terms, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """What a managed token is created with. Give `duration` or `expiresAt`."""

    duration: Duration | None = None
    expires_at: Instant | None = None


def expiry(duration: str | None, expires_at: str | None, now: float) -> int:
    """When a token expires, in epoch seconds, 0 for never. Raises InvalidRequest unless exactly one is given."""
    # A missing end does not mean "never": by mistake it would make a token that never expires.
    if (duration is None) == (expires_at is None):
        raise wrong("duration", "give either duration (7days, 1month, 6months, 1year, never) or expiresAt")
    if expires_at is not None:
        return parse_rfc3339(expires_at, "expiresAt")
    return 0 if duration == "never" or duration is None else int(now) + DURATIONS[duration] * 86400


def new_token(wanted: Terms, expires_at: int) -> NewToken:
    """The terms of a token, normalized. Raises InvalidRequest."""
    return NewToken(
        clean_name(wanted.name),
        expires_at,
        wanted.description,
        wanted.subject or "",
        wanted.scopes,
        limits_given(wanted) or (),
        clean_networks(wanted.allowed_networks),
        wanted.max_uses or 0,
        wanted.metadata,
    )


def clean_name(name: str) -> str:
    """The name in normal form. Raises InvalidRequest for a name with nothing visible, or with a control character."""
    # NFC, because otherwise two names that nobody can tell apart would both be free.
    cleaned = unicodedata.normalize("NFC", name).strip()
    if cleaned and cleaned.isascii() and cleaned.isprintable():
        return cleaned
    kinds = {unicodedata.category(sign) for sign in cleaned}
    if kinds <= _UNSEEN or kinds & _UNFIT:
        raise wrong("name", "give a name of 1 to 80 characters without control characters")
    return cleaned


def clean_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    """The networks in normal form. Raises InvalidRequest with an example."""
    cleaned: list[str] = []
    for network in networks:
        if told := as_written(network):
            cleaned.append(told)
            continue
        try:
            cleaned.extend(map(str, read_networks((network,))))
        except ValueError:
            raise wrong("allowedNetworks", f"{network} is not a network. Write it like 10.4.0.0/16") from None
    return tuple(cleaned)
