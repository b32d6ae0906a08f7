"""The list of managed tokens, page by page, and how many there are."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.api.admin.schemas.creation import Id
from service.api.admin.schemas.cursors import read_cursor, write_cursor
from service.api.admin.schemas.tokens import Filter, TokenList
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Caller
from service.api.http.access import READ
from service.api.http.call import LARGEST_PAGE, PAGE, Call, Cursor, PageSize
from service.api.http.operation import Operation, OperationGroup
from service.errors import wrong
from service.model import Statistics
from service.tokens.managed.queries import ManagedQueries

_SORTS = {"createdAt": "created_at", "name": "name", "lastUsedAt": "last_used_at", "expiresAt": "expires_at"}


class ListQuery(Filter, forbid_unknown_fields=True, rename="camel"):
    """The list's filters, order and page."""

    sort: Annotated[
        Literal["createdAt", "-createdAt", "name", "-name", "lastUsedAt", "-lastUsedAt", "expiresAt", "-expiresAt"],
        Meta(description="with - descending; -createdAt unless given"),
    ] = "-createdAt"
    limit: PageSize = PAGE
    cursor: Cursor | None = None
    # Room for a full page of ids, each sixteen digits and a comma.
    ids: Annotated[str, Meta(min_length=1, max_length=LARGEST_PAGE * 17, description="only these, comma separated")] = (
        ""
    )
    parent: Id | None = None


class TokenListApi(OperationGroup, tag="managed"):
    """Lists and counts managed tokens over HTTP."""

    _queries: ManagedQueries
    _views: TokenViews

    @Operation("GET", "/api/admin/tokens", READ, "listTokens")
    async def page(self, call: Call, caller: Caller, query: ListQuery) -> TokenList:
        """List tokens.

        Without `status`, all except revoked tokens. Sorted by expiry, tokens without an end come last, and a revoked
        one stands at the instant of its revocation. Sorted by last use, tokens never used come first. A token that is
        used while a client pages by last use may be on no page (`-lastUsedAt`) or on two (`lastUsedAt`). So may, by
        expiry, one that is switched on or off among those that end in the same second. By `createdAt` no token moves.

        With `parent` and no filters, the tokens derived directly from that token, newest first; no other list has them.
        """
        if query.parent is not None:
            # Refused, not ignored: the answer would read as if it were filtered.
            if msgspec.structs.replace(query, limit=PAGE, cursor=None) != ListQuery(parent=query.parent):
                raise wrong("parent", "give no other filter and no order beside it")
            return await self._views.derived(query.parent, query.limit, query.cursor)
        ids = tuple(filter(None, query.ids.split(",")))
        # An empty set of ids would match every token.
        if query.ids and not ids:
            raise wrong("ids", "name one at least")
        wanted = msgspec.structs.replace(
            self._views.query(query),
            sort=_SORTS[query.sort.removeprefix("-")],
            descending=query.sort.startswith("-"),
            limit=query.limit,
            after=read_cursor(query.cursor, query.sort),
            ids=ids,
        )
        page = self._queries.page(wanted)
        # By creation each status has a list of its own, so every page is quick; and watching for a client that leaves
        # costs two tasks.
        is_short = wanted.by_status_alone and wanted.sort == "created_at"
        tokens, after, total = await (page if is_short else call.unless_gone(page))
        return TokenList(await self._views.of(tokens), write_cursor(after, query.sort), total)

    @Operation("GET", "/api/admin/tokens/stats", READ, "countTokens")
    async def stats(self, caller: Caller) -> Statistics:
        """Count tokens."""
        return await self._queries.statistics()
