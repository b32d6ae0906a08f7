"""/api/admin/audit: who changed what, listed, exported and verified."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.api.admin.schemas.audit import AuditPage, AuditVerification, shown, verified
from service.api.admin.schemas.csv_export import csv_lines, ndjson_lines
from service.api.auth.callers import Caller
from service.api.http.access import READ
from service.api.http.call import PAGE, Call, PageSize
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import Instant, instant_or_none
from service.api.pages.files import Download
from service.errors import wrong
from service.tokens.audit.log import AuditLog
from service.tokens.audit.reader import POSITION, AuditFilter, AuditReader, Position
from service.tokens.audit.verification import Verification

CSV = "text/csv"
NDJSON = "application/x-ndjson"
# An empty filter, as an unset variable makes one, would match every entry: it is refused.
_Word = Annotated[str, Meta(min_length=1)]


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Filters and page of the list; `from` is included, `to` is not."""

    actor: _Word = ""
    action: _Word = ""
    target: _Word = ""
    since: Instant | None = msgspec.field(name="from", default=None)
    to: Instant | None = None
    q: Annotated[str, Meta(min_length=1, max_length=200)] = ""
    limit: PageSize = PAGE
    # The pattern is for the document alone: a wrong one is refused by `_position`, which says what to do.
    cursor: Annotated[str, Meta(extra_json_schema={"pattern": f"^({POSITION.pattern})?$"})] | None = None
    format: Literal["json", "ndjson", "csv"] = "json"


class AuditApi(OperationGroup, tag="audit"):
    """Shows the log to those who may read tokens."""

    _audit: AuditReader
    _verification: Verification
    _audit_log: AuditLog

    @Operation("GET", "/api/admin/audit", READ, "listAuditEntries", streams=(NDJSON, CSV))
    async def page(self, call: Call, caller: Caller, query: AuditQuery) -> AuditPage | Download:
        """List changes and sign-ins.

        Newest first. With `format` all that match, as a stream; that is noted too.
        """
        wanted = AuditFilter(
            actor=query.actor,
            action=query.action,
            target=query.target,
            text=query.q,
            since=instant_or_none(query.since, "from"),
            until=instant_or_none(query.to, "to"),
        )
        if query.format == "json":
            events, after = await self._audit.page(wanted, query.limit, _position(query.cursor))
            return AuditPage([shown(event) for event in events], str(after) if after else None)
        asked = {name: value for name, value in call.query if name != "format"}
        # Before the first line: one that breaks off has been taken out as far as it came.
        if not call.head_only:
            await self._audit_log.write("export.made", caller.origin, "audit", after={"format": query.format, **asked})
        lines, media_type = (ndjson_lines, NDJSON) if query.format == "ndjson" else (csv_lines, CSV)
        return Download(call, lines(self._audit.every(wanted)), media_type, f"audit.{query.format}")

    @Operation("GET", "/api/admin/audit/verification", READ, "verifyAuditLog")
    async def verify(self, caller: Caller) -> AuditVerification:
        """Verify the log.

        Reads all of it: faults are entries changed, misplaced or missing since they were sealed, a second after
        they were written.
        """
        return verified(await self._verification.verify())


def _position(cursor: str | None) -> Position | None:
    if not cursor:
        return None
    try:
        return Position.read(cursor)
    except ValueError:
        raise wrong("cursor", "this cursor belongs to another list: start again without it") from None
