"""The list of managed tokens, page by page, and how many there are."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from service.api.admin.schemas.tokens import Filter, Id, TokenList
from service.api.admin.token_views import LARGEST_PAGE, PAGE, TokenViews, read_cursor, write_cursor
from service.api.auth.callers import Callers
from service.api.http.access import READ
from service.api.http.call import Call, Json, Operation, OperationGroup, convert_query
from service.errors import wrong
from service.model import Statistics
from service.tokens.managed.queries import ManagedQueries

_SORTS = {"createdAt": "created_at", "name": "name", "lastUsedAt": "last_used_at", "expiresAt": "expires_at"}


class ListQuery(Filter, forbid_unknown_fields=True, rename="camel"):
    """The list's filters, order and page."""

    sort: Literal[
        "createdAt", "-createdAt", "name", "-name", "lastUsedAt", "-lastUsedAt", "expiresAt", "-expiresAt"
    ] = "-createdAt"
    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE)] = PAGE
    cursor: str | None = None
    ids: Annotated[str, Meta(min_length=1, max_length=LARGEST_PAGE * 17, description="only these, comma separated")] = (
        ""
    )
    parent: Id | None = None


class TokenListApi(OperationGroup):
    """Lists and counts managed tokens over HTTP."""

    def __init__(self, queries: ManagedQueries, views: TokenViews, callers: Callers) -> None:
        self._queries = queries
        self._views = views
        self._callers = callers

    @Operation("GET", "/api/admin/tokens", READ, "managed", "listTokens", query=ListQuery, answers={200: TokenList})
    async def page(self, call: Call) -> Response:
        """List tokens.

        With `parent` instead of filters those derived from that token directly, newest first; no other list has them.
        """
        await self._callers.admit(call)
        wanted = convert_query(call, ListQuery)
        if wanted.parent is not None:
            if msgspec.structs.replace(wanted, limit=PAGE, cursor=None) != ListQuery(parent=wanted.parent):
                raise wrong("parent", "give no other filter and no order beside it")
            return Json(await self._views.derived(wanted.parent, wanted.limit, wanted.cursor))
        query = self._views.query(wanted)
        query = msgspec.structs.replace(
            query,
            sort=_SORTS[wanted.sort.removeprefix("-")],
            descending=wanted.sort.startswith("-"),
            limit=wanted.limit,
            after=read_cursor(wanted.cursor, wanted.sort),
            ids=tuple(filter(None, wanted.ids.split(","))),
        )
        tokens, after, total = await call.unless_gone(self._queries.page(query))
        return Json(TokenList(await self._views.of(tokens), write_cursor(after, wanted.sort), total))

    @Operation("GET", "/api/admin/tokens/stats", READ, "managed", "countTokens", answers={200: Statistics})
    async def stats(self, call: Call) -> Response:
        """Count tokens."""
        await self._callers.admit(call)
        return Json(await self._queries.statistics())
