"""The list of managed tokens, page by page, and how many there are."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from service.api.admin.schemas.tokens import Filter, Id, TokenList
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Callers
from service.api.http.access import READ
from service.api.http.call import Call, Json, Operation, OperationGroup, convert_query
from service.errors import wrong
from service.model import ManagedToken, Statistics
from service.tokens.managed.derivation import Derivation
from service.tokens.managed.queries import ManagedQueries

_SORTS = {"createdAt": "created_at", "name": "name", "lastUsedAt": "last_used_at", "expiresAt": "expires_at"}
_LARGEST_PAGE = 200
_PAGE = 50


class ListQuery(Filter, forbid_unknown_fields=True, rename="camel"):
    """The list's filters, order and page."""

    sort: Literal[
        "createdAt", "-createdAt", "name", "-name", "lastUsedAt", "-lastUsedAt", "expiresAt", "-expiresAt"
    ] = "-createdAt"
    limit: Annotated[int, Meta(ge=1, le=_LARGEST_PAGE)] = _PAGE
    cursor: str | None = None
    ids: Annotated[str, Meta(max_length=_LARGEST_PAGE * 17, description="only these, comma separated")] = ""
    parent: Id | None = None


class TokenListApi(OperationGroup):
    """Lists and counts managed tokens over HTTP."""

    def __init__(self, queries: ManagedQueries, derivation: Derivation, views: TokenViews, callers: Callers) -> None:
        self._queries = queries
        self._derivation = derivation
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
            return Json(await self._derived(wanted, wanted.parent))
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

    async def _derived(self, wanted: ListQuery, parent_id: str) -> TokenList:
        if msgspec.structs.replace(wanted, limit=_PAGE, cursor=None) != ListQuery(parent=parent_id):
            raise wrong("parent", "give no other filter and no order beside it")
        children = await self._derivation.children(parent_id)
        place = _read_cursor(wanted.cursor, wanted.sort)
        rest = [one for one in children if place is None or _place(one) > (-int(place[0]), place[1])]
        page, last = rest[: wanted.limit], None
        if len(rest) > wanted.limit:
            last = str(page[-1].created_micros), page[-1].token_id
        views = await self._views.of(page, parent_id=parent_id)
        return TokenList(views, _write_cursor(last, wanted.sort), len(children))

    @Operation("GET", "/api/admin/tokens/stats", READ, "managed", "countTokens", answers={200: Statistics})
    async def stats(self, call: Call) -> Response:
        """Count tokens."""
        await self._callers.admit(call)
        return Json(await self._queries.statistics())


def _place(token: ManagedToken) -> tuple[int, str]:
    return -token.created_micros, token.token_id


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
