"""Bulk revocation, the kill switch: end all tokens of a creator or a scope, those that match a filter, or all."""

from msgspec import UNSET

from service.api.admin.schemas.tokens import EndTokens, Filter, SliceChanged, TokensMatched, part_of_many, read_slice
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.errors import wrong
from service.store.managed.query import Query
from service.tokens.managed.bulk import Bulk, Ending


class BulkRevocationApi(OperationGroup, tag="managed"):
    """Ends many tokens over HTTP."""

    _bulk: Bulk
    _views: TokenViews

    @Operation("POST", "/api/admin/tokens/revoke", ADMINISTER, "revokeManyTokens", pending=True, problems=(409,))
    async def revoke(self, call: Call, caller: Caller, body: EndTokens) -> TokensMatched | SliceChanged:
        """Revoke many tokens.

        For good. Applies to all matching tokens that are not yet revoked.
        """
        return await self._end(call, caller, body, Ending.REVOKE)

    @Operation(
        "POST", "/api/admin/tokens/deactivate", ADMINISTER, "deactivateManyTokens", pending=True, problems=(409,)
    )
    async def deactivate(self, call: Call, caller: Caller, body: EndTokens) -> TokensMatched | SliceChanged:
        """Deactivate many tokens.

        Applies to the matching tokens that are active.
        """
        return await self._end(call, caller, body, Ending.DEACTIVATE)

    async def _end(self, call: Call, caller: Caller, wanted: EndTokens, ending: Ending) -> TokensMatched | SliceChanged:
        query = self._query(wanted)
        if wanted.dry_run:
            # Only the dry run may be cancelled when its client leaves, because it changes nothing.
            matched = await call.unless_gone(self._bulk.preview(query, ending))
            return TokensMatched(matched.count, await self._views.of(matched.sample))
        result = await self._bulk.end(query, ending, caller.origin, read_slice(wanted))
        return part_of_many(result, "revoked" if ending is Ending.REVOKE else "deactivated")

    def _query(self, wanted: EndTokens) -> Query:
        given = [which for which in (wanted.filter, wanted.created_by, wanted.scope, wanted.all) if which is not UNSET]
        # An empty query would end every token: the request must say so with `all`, never by leaving something out.
        if len(given) != 1:
            raise wrong("filter", "give one of filter, createdBy, scope or all")
        if isinstance(wanted.filter, Filter):
            return self._views.query_to_change(wanted.filter)
        # UNSET is falsy.
        return Query(created_by=wanted.created_by or "", scope=wanted.scope or "")
