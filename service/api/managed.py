"""Dialect 3: managed tokens, for administrators."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta
from starlette.responses import Response

from service.api.guard import BEARER, Guard
from service.api.http import BULK_BYTES, Call, Json, Operation, convert_query
from service.api.times import parse_rfc3339
from service.api.token_shapes import (
    ChangeToken,
    CreateToken,
    Filter,
    Message,
    Skipped,
    TokenChanged,
    TokenIssued,
    TokenList,
    TokensChanged,
    TokenShown,
    clean_name,
    clean_networks,
    expiry,
    shown,
    to_limit,
)
from service.errors import InvalidRequest
from service.metrics import Metrics
from service.model import Kind, ManagedToken, Origin, Statistics, Status
from service.store.listing import Query
from service.tokens.lifetime import DURATIONS
from service.tokens.managed import BulkResult, ManagedTokens, NewToken
from service.tokens.usage_series import UsageSeries

_SORTS = {"createdAt": "created_at", "name": "name", "lastUsedAt": "last_used_at", "expiresAt": "expires_at"}
_LARGEST_PAGE = 200


class ListQuery(Filter, forbid_unknown_fields=True, rename="camel"):
    """The list's filters, order and page."""

    sort: str = "-createdAt"
    limit: Annotated[int, Meta(ge=1, le=_LARGEST_PAGE)] = 50
    cursor: str | None = None


class ManagedApi:
    """Creates, lists, changes and revokes managed tokens over HTTP."""

    def __init__(
        self, tokens: ManagedTokens, usage: UsageSeries, guard: Guard, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._tokens = tokens
        self._usage = usage
        self._guard = guard
        self._metrics = metrics
        self._clock = clock

    def operations(self) -> list[Operation]:
        """The routes of this dialect."""
        path = "/api/admin/tokens"
        return [
            Operation(method="GET", path=path, handler=self.page, tag="managed", summary="List tokens",
                      query=ListQuery, answers={200: TokenList}, security=BEARER),
            Operation(method="POST", path=path, handler=self.create, tag="managed", summary="Create a token",
                      body=CreateToken, answers={201: TokenIssued, 409: None}, security=BEARER,
                      description="The only answer that shows the secret."),
            Operation(method="PATCH", path=path, handler=self.change, tag="managed", summary="Change tokens",
                      body=ChangeToken, answers={200: (TokenChanged, TokensChanged), 404: None, 409: None},
                      security=BEARER,
                      description="One by `id`, several by `ids`, or all that a `filter` finds with `expected`."),
            Operation(method="DELETE", path=path, handler=self.revoke, tag="managed", summary="Revoke tokens",
                      query={"id": str, "ids": str}, answers={200: (Message, TokensChanged), 404: None},
                      security=BEARER, description="For good. Refused from the moment this answers."),
            Operation(method="GET", path=path + "/stats", handler=self.stats, tag="managed",
                      summary="Count tokens", answers={200: Statistics}, security=BEARER),
            Operation(method="GET", path=path + "/{id}", handler=self.show, tag="managed", summary="Show a token",
                      answers={200: TokenShown, 404: None}, security=BEARER),
        ]  # fmt: skip

    async def page(self, call: Call) -> Response:
        """A page of tokens, newest first unless sorted otherwise."""
        await self._guard.reader(call)
        wanted = convert_query(call, ListQuery)
        query = self._query(wanted)
        name = wanted.sort.removeprefix("-")
        if name not in _SORTS:
            raise _wrong("sort", f"choose one of {', '.join(_SORTS)}, with - for descending")
        query = msgspec.structs.replace(
            query, sort=_SORTS[name], descending=wanted.sort.startswith("-"), limit=wanted.limit,
            after=_read_cursor(wanted.cursor, wanted.sort),
        )  # fmt: skip
        tokens, after, total = await self._tokens.page(query)
        return Json(TokenList(await self._shown(tokens), _write_cursor(after, wanted.sort), total))

    async def show(self, call: Call) -> Response:
        """One token."""
        await self._guard.reader(call)
        token = await self._tokens.get(call.path_parameters["id"])
        return Json((await self._shown([token]))[0])

    async def stats(self, call: Call) -> Response:
        """How many tokens there are; total = active + expired + inactive."""
        await self._guard.reader(call)
        return Json(await self._tokens.statistics())

    async def create(self, call: Call) -> Response:
        """Create a token and show its secret, this once."""
        caller = await self._guard.writer(call)
        wanted = await call.json(CreateToken)
        created = await self._tokens.create(self._new(wanted), caller.origin)
        self._metrics.issued.labels(Kind.MANAGED.value).inc()
        call.token_id = created.token.token_id
        token = shown(created.token, self._clock(), [0] * 14, secret=created.secret)
        return Json(TokenIssued("API token created successfully", token), 201)

    def _new(self, wanted: CreateToken) -> NewToken:
        return NewToken(
            name=clean_name(wanted.name),
            expires_at=expiry(wanted.duration, wanted.expires_at, self._clock(), DURATIONS),
            description=wanted.description,
            subject=wanted.subject or "",
            scopes=wanted.scopes,
            rate_limit=to_limit(wanted.rate_limit),
            networks=clean_networks(wanted.allowed_networks),
            max_uses=wanted.max_uses or 0,
            metadata=wanted.metadata,
        )

    async def change(self, call: Call) -> Response:
        """Change one token, several, or all that a filter finds."""
        caller = await self._guard.writer(call)
        wanted = await call.json(ChangeToken, BULK_BYTES)
        if sum(which is not UNSET for which in (wanted.id, wanted.ids, wanted.filter)) != 1:
            raise _wrong("id", "give one of id, ids or filter")
        changes = _changes(wanted)
        if not changes:
            raise _wrong("isActive", "give at least one field to change")
        if isinstance(wanted.id, str):
            token = await self._tokens.update(wanted.id, changes, caller.origin)
            call.token_id = token.token_id
            return Json(TokenChanged(_said(changes), (await self._shown([token]))[0]))
        if set(changes) != {"active"}:
            raise _wrong("ids", "several tokens can only be activated or deactivated: give isActive alone")
        return Json(await self._change_several(wanted, bool(changes["active"]), caller.origin))

    async def _change_several(self, wanted: ChangeToken, active: bool, origin: Origin) -> TokensChanged:
        if isinstance(wanted.filter, Filter):
            if not isinstance(wanted.expected, int):
                raise _wrong("expected", "say how many tokens the filter should match")
            ids = await self._tokens.matching(self._query(wanted.filter), wanted.expected)
        else:
            ids = list(dict.fromkeys(wanted.ids)) if isinstance(wanted.ids, list) else []
        result = await self._tokens.set_active(ids, active, origin)
        return _several(result, "activated" if active else "deactivated")

    async def revoke(self, call: Call) -> Response:
        """Revoke one token or several, for good."""
        caller = await self._guard.writer(call)
        token_id, several = call.parameter("id"), call.parameter("ids")
        if token_id:
            await self._tokens.revoke(token_id, caller.origin)
            self._metrics.revoked.labels(Kind.MANAGED.value).inc()
            call.token_id = token_id
            return Json(Message("API token revoked successfully"))
        if not several:
            raise _wrong("id", "say which token to revoke: ?id=, or ?ids=a,b,c")
        ids = list(dict.fromkeys(part for part in several.split(",") if part))
        result = await self._tokens.revoke_many(ids, caller.origin)
        self._metrics.revoked.labels(Kind.MANAGED.value).inc(len(result.updated))
        return Json(_several(result, "revoked"))

    async def _shown(self, tokens: list[ManagedToken]) -> list[TokenShown]:
        now = self._clock()
        series = await self._usage.last_days([token.token_id for token in tokens], 14)
        return [shown(token, now, days) for token, days in zip(tokens, series, strict=True)]

    def _query(self, wanted: Filter) -> Query:
        unused_since = 0
        if wanted.unused_for_days is not None:
            unused_since = int(self._clock()) - wanted.unused_for_days * 86400
        return Query(
            statuses=_statuses(wanted.status),
            text=wanted.q,
            created_by=wanted.created_by,
            scope=wanted.scope,
            expires_before=parse_rfc3339(wanted.expires_before, "expiresBefore") if wanted.expires_before else 0,
            unused_since=unused_since,
        )


def _statuses(text: str | None) -> frozenset[Status]:
    if text is None:
        return frozenset()
    if text == "all":
        return frozenset(Status)
    try:
        return frozenset(Status(part) for part in text.split(","))
    except ValueError:
        raise _wrong("status", f"choose one of {', '.join(Status)}, all") from None


def _changes(wanted: ChangeToken) -> dict[str, Any]:
    """The fields to change, as the record names them."""
    changes: dict[str, Any] = {
        field: value
        for field in ("description", "subject", "scopes", "metadata")
        if (value := getattr(wanted, field)) is not UNSET
    }
    if wanted.is_active is not UNSET:
        changes["active"] = wanted.is_active
    if isinstance(wanted.name, str):
        changes["name"] = clean_name(wanted.name)
    if not isinstance(wanted.rate_limit, msgspec.UnsetType):
        changes["rate_limit"] = to_limit(wanted.rate_limit)
    if not isinstance(wanted.allowed_networks, msgspec.UnsetType):
        changes["networks"] = clean_networks(wanted.allowed_networks)
    if not isinstance(wanted.expires_at, msgspec.UnsetType):
        changes["expires_at"] = parse_rfc3339(wanted.expires_at, "expiresAt") if wanted.expires_at else 0
    if wanted.max_uses is not UNSET:
        changes["max_uses"] = wanted.max_uses or 0
    return changes


def _said(changes: dict[str, Any]) -> str:
    if set(changes) == {"active"}:
        return f"API token {'activated' if changes['active'] else 'deactivated'} successfully"
    return "API token updated successfully"


def _several(result: BulkResult, done: str) -> TokensChanged:
    message = f"{len(result.updated)} {'token' if len(result.updated) == 1 else 'tokens'} {done}"
    if result.skipped:
        message += f", {len(result.skipped)} skipped"
    return TokensChanged(message, result.updated, [Skipped(*skipped) for skipped in result.skipped])


def _write_cursor(after: tuple[str, str] | None, sort: str) -> str | None:
    if after is None:
        return None
    return urlsafe_b64encode(msgspec.json.encode([sort, *after])).decode().rstrip("=")


def _read_cursor(cursor: str | None, sort: str) -> tuple[str, str] | None:
    if not cursor:
        return None
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        for_sort, position, token_id = msgspec.json.decode(raw, type=tuple[str, str, str])
        if sort.removeprefix("-") != "name":
            int(position)
    except (ValueError, msgspec.DecodeError):
        for_sort = ""
    if for_sort != sort:
        raise _wrong("cursor", "this cursor belongs to another list: start again without it")
    return position, token_id


def _wrong(field: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {reason}.", fields=((field, reason),))
