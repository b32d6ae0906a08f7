"""The list of managed tokens, page by page, and how many there are."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from service.api.admin.schemas.tokens import Filter, TokenList
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Callers
from service.api.http.access import READ
from service.api.http.call import Call, Json, Operation, OperationGroup, convert_query
from service.errors import wrong
from service.model import Statistics
from service.tokens.managed.queries import ManagedQueries

_SORTS = {"createdAt": "created_at", "name": "name", "lastUsedAt": "last_used_at", "expiresAt": "expires_at"}
_LARGEST_PAGE = 200


class ListQuery(Filter, forbid_unknown_fields=True, rename="camel"):
    """The list's filters, order and page."""

    sort: Literal[
        "createdAt", "-createdAt", "name", "-name", "lastUsedAt", "-lastUsedAt", "expiresAt", "-expiresAt"
    ] = "-createdAt"
    limit: Annotated[int, Meta(ge=1, le=_LARGEST_PAGE)] = 50
    cursor: str | None = None
    ids: Annotated[str, Meta(max_length=_LARGEST_PAGE * 17, description="only these, comma separated")] = ""


class TokenListApi(OperationGroup):
    """Lists and counts managed tokens over HTTP."""

    def __init__(self, queries: ManagedQueries, views: TokenViews, callers: Callers) -> None:
        self._queries = queries
        self._views = views
        self._callers = callers

    @Operation("GET", "/api/admin/tokens", READ, "managed", "listTokens", query=ListQuery, answers={200: TokenList})
    async def page(self, call: Call) -> Response:
        """List tokens."""
        await self._callers.admit(call)
        wanted = convert_query(call, ListQuery)
        query = self._views.query(wanted)
        query = msgspec.structs.replace(
            query,
            sort=_SORTS[wanted.sort.removeprefix("-")],
            descending=wanted.sort.startswith("-"),
            limit=wanted.limit,
            after=_read_cursor(wanted.cursor, wanted.sort),
            ids=tuple(filter(None, wanted.ids.split(","))),
        )
        tokens, after, total = await call.unless_gone(self._queries.page(query))
        return Json(TokenList(await self._views.of(tokens), _write_cursor(after, wanted.sort), total))

    @Operation("GET", "/api/admin/tokens/stats", READ, "managed", "countTokens", answers={200: Statistics})
    async def stats(self, call: Call) -> Response:
        """Count tokens."""
        await self._callers.admit(call)
        return Json(await self._queries.statistics())


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
    except (ValueError, msgspec.DecodeError):
        for_sort = position = token_id = ""
    is_number = position.isascii() and position.isdecimal() and len(position) < 20
    if for_sort != sort or not (is_number or sort.removeprefix("-") == "name"):
        raise wrong("cursor", "this cursor belongs to another list: start again without it")
    return position, token_id
