"""The shapes of managed tokens on the wire, and how a record becomes one."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.api.admin.schemas.creation import Description, Id, MaxUses, Metadata, Name, Networks, Scopes, Subject
from service.api.admin.schemas.cursors import cursor_of, place_of
from service.api.admin.schemas.limits import LimitsGiven, LimitShown, Rate, alone_shown, limit_shown
from service.api.http.timestamps import Instant, rfc3339, rfc3339_or_none
from service.errors import wrong
from service.model import STATUS_ACTIVE, ManagedToken, Quota, Scope, Status
from service.store.usage import Series
from service.tokens.managed.bulk import BulkResult, Continuation, Part
from service.tokens.managed.rotation import LONGEST_OVERLAP_SECONDS

_STATUS = f"({'|'.join(Status)})"
Statuses = Annotated[
    str, Meta(description="one or more, by commas", extra_json_schema={"pattern": f"^(all|{_STATUS}(,{_STATUS})*)$"})
]
LastAddress = Annotated[str, Meta(min_length=1, max_length=45, description="where it was used last, as usage shows it")]
SliceCursor = Annotated[str, Meta(min_length=1, max_length=200)]


class TokenShown(msgspec.Struct, rename="camel"):
    """A managed token; its secret is masked except the last eight characters.

    `derived` counts the living tokens derived directly from it; a derived token names its parent in `parentId`.
    `rateLimit` is the rate called `default` in `limits`, `quota` the quota called `quota`. `subjectLimits` are the
    limits it shares with all tokens of its subject. `version` changes with each change, not with a use.
    `imported`: its secret was made by another system and has not been rotated since.
    """

    id: str
    name: str
    token: str
    created_at: Instant
    expires_at: Instant | None
    is_active: bool
    last_used_at: Instant | None
    created_by: str
    description: str
    status: Status
    scopes: Sequence[str]
    rate_limit: Rate | None
    quota: LimitShown | None
    limits: list[LimitShown]
    subject_limits: list[LimitShown]
    subject: str
    metadata: dict[str, str]
    allowed_networks: Sequence[str]
    max_uses: int | None
    uses_left: int | None
    rotated_at: Instant | None
    old_secret_valid_until: Instant | None
    usage14d: list[int]
    rotations: int
    old_secret_last_used_at: Instant | None
    parent_id: str | None
    derived: int
    version: int
    imported: bool


class TokenList(msgspec.Struct, rename="camel"):
    """A page of tokens; `nextCursor` leads to the next page. `total` is null when counting would read every record.

    A page ends after a second of searching. If the filter matches few of very many tokens, it may then have fewer
    tokens than `limit`, even none, while `nextCursor` continues from there.
    """

    tokens: list[TokenShown]
    next_cursor: str | None
    total: int | None


class TokenIssued(msgspec.Struct):
    """A token with its secret in clear, the only time it is shown."""

    message: str
    token: TokenShown


class TokenChanged(msgspec.Struct):
    """A token after a change."""

    message: str
    token: TokenShown


class Skipped(msgspec.Struct):
    """A token that a change of several left as it was, and the reason."""

    id: str
    code: str


class TokensChanged(msgspec.Struct):
    """What a change of several tokens did."""

    message: str
    updated: list[str]
    skipped: list[Skipped]


class Filter(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The filters of the list. An empty text or null is refused, because it would match every token.

    A change of tokens also refuses a filter without any condition.
    """

    status: Statuses | UnsetType = UNSET
    q: (
        Annotated[
            str, Meta(min_length=1, max_length=80, description="part of the name, or last characters of the token")
        ]
        | UnsetType
    ) = UNSET
    created_by: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    scope: Annotated[str, Meta(min_length=1, max_length=64, description="as it is written")] | UnsetType = UNSET
    subject: Annotated[str, Meta(min_length=1, max_length=128)] | UnsetType = UNSET
    last_address: LastAddress | UnsetType = UNSET
    expires_before: Instant | UnsetType = UNSET
    unused_for_days: Annotated[int, Meta(ge=0, le=3650)] | UnsetType = UNSET
    never_used: Annotated[bool, Meta(description="true: only tokens that were never used")] = False


class RevokedQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which tokens to revoke."""

    id: Annotated[str, Meta(description="one, or `ids`")] = ""
    ids: Annotated[str, Meta(description="several, separated by commas")] = ""


class RotateToken(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """How long the old secret works beside the new one; with an empty body it ends now."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP_SECONDS)] = 0


class EndTokens(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Which tokens to end: exactly one of `filter`, `createdBy`, `scope` (exactly as written) and `all`.

    With `dryRun` nothing is changed. Without it, `expected` is the number a dry run found; a different number is 409
    `count_changed`. One request ends as many tokens as it can in a second, and at most `limit`. To continue, send the
    same with the answer's `nextCursor` as `cursor`, until that is null. To send a slice twice is harmless.
    """

    filter: Filter | UnsetType = UNSET
    created_by: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    scope: Scope | UnsetType = UNSET
    # Not `bool`: any given value counts as a choice, so `false` would mean all tokens too.
    all: Literal[True] | UnsetType = UNSET
    dry_run: bool = False
    expected: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    cursor: SliceCursor | UnsetType = UNSET


class TokensMatched(msgspec.Struct):
    """What a dry run found: how many tokens would be ended, and the first ten of them."""

    matched: int
    sample: list[TokenShown]


class SliceChanged(TokensChanged, rename="camel"):
    """What one request changed, how many tokens remain, and the cursor to continue with; null when all is done."""

    remaining: int
    next_cursor: str | None


class Message(msgspec.Struct):
    """What was done, as text for people."""

    message: str


class ChangeToken(LimitsGiven, forbid_unknown_fields=True, rename="camel"):
    """A change of one token (`id`), of several (`ids`), or of all that a filter matches (`filter` and `expected`).

    With `filter`, one request changes as many tokens as it can in a second, and at most `limit`. To continue, send the
    answer's `nextCursor` as `cursor`. `rateLimit` changes only the limit called `default`, `quota` only the one called
    `quota`; null removes it. With `version` it is 409 `token_changed` when the token was changed after that version,
    unless it already is as the request asks.
    """

    id: Id | UnsetType = UNSET
    version: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    ids: Annotated[list[Id], Meta(min_length=1, max_length=1000)] | UnsetType = UNSET
    filter: Filter | UnsetType = UNSET
    expected: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    cursor: SliceCursor | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    subject: Subject | UnsetType | None = UNSET
    scopes: Scopes | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    expires_at: Instant | UnsetType | None = UNSET
    allowed_networks: Networks | UnsetType = UNSET
    max_uses: MaxUses | UnsetType | None = UNSET


def shown(
    token: ManagedToken,
    status: Status,
    in_overlap: bool,
    usage: Series,
    quotas: tuple[Quota, ...],
    shared: tuple[Quota, ...],
    parent_id: str = "",
    derived: int = 0,
) -> TokenShown:
    """A record as its readers see it.

    `in_overlap`: true while the previous secret still works.
    """
    rate, quota = alone_shown(quotas)
    # Positional: keyword arguments take nine times as long here, and a page has fifty tokens.
    return TokenShown(
        token.token_id,
        token.name,
        f"****-****-****-{token.last_eight}",
        rfc3339(token.created_at),
        rfc3339_or_none(token.expires_at),
        status is STATUS_ACTIVE,
        rfc3339_or_none(token.last_used_at),
        token.created_by,
        token.description,
        status,
        token.scopes,
        rate,
        quota,
        [*map(limit_shown, quotas)],
        [*map(limit_shown, shared)],
        token.subject,
        token.metadata,
        token.networks,
        token.max_uses or None,
        token.uses_left if token.max_uses else None,
        rfc3339_or_none(token.rotated_at),
        rfc3339(token.predecessor_until) if in_overlap else None,
        usage.totals(),
        token.rotations,
        rfc3339_or_none(token.predecessor_used_at),
        parent_id or None,
        derived,
        token.version,
        # The record keeps the rule of the import, but a rotation replaces the secret by one made here.
        token.imported != "" and not token.rotations,
    )


def several(result: BulkResult, done: str) -> TokensChanged:
    """What a change of several tokens did, with a sentence for people."""
    message = f"{len(result.updated)} {'token' if len(result.updated) == 1 else 'tokens'} {done}"
    if result.skipped:
        message += f", {len(result.skipped)} skipped"
    return TokensChanged(message, result.updated, [Skipped(*skipped) for skipped in result.skipped])


def part_of_many(result: BulkResult, done: str) -> SliceChanged:
    """What a change of one slice did, with the cursor to continue with."""
    changed = several(result, done)
    message = f"{changed.message}, {result.remaining} to go" if result.next else changed.message
    cursor = cursor_of(result.next) if result.next else None
    return SliceChanged(message, changed.updated, changed.skipped, result.remaining, cursor)


def read_slice(wanted: EndTokens | ChangeToken) -> Part:
    """Which slice the request asks for. Raises InvalidRequest when it has neither `expected` nor `cursor`."""
    limit = wanted.limit or 0
    # `expected` belongs to the first slice; the cursor carries what remains of it.
    if isinstance(wanted.cursor, str):
        if (place := place_of(wanted.cursor, Continuation)) is None:
            raise wrong("cursor", "this is no cursor of an answer: start again without it")
        return Part(0, limit, place)
    if not isinstance(wanted.expected, int):
        raise wrong("expected", "say how many tokens the filter should match")
    return Part(wanted.expected, limit)
