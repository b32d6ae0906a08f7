"""/api/admin/audit: who changed what, listed, exported and verified."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.api.admin.schemas.audit import AuditPage, AuditShown, AuditVerification, shown, verified
from service.api.auth.callers import Caller
from service.api.http.access import READ
from service.api.http.call import PAGE, Call, Cursor, PageSize
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import Instant, instant_or_none
from service.api.pages.csv_rows import csv_rows
from service.api.pages.files import NAMED, NDJSON, Download
from service.errors import wrong
from service.store.pacing import paced_list
from service.tokens.audit.entries import Action
from service.tokens.audit.log import AuditLog
from service.tokens.audit.reader import POSITION, AuditFilter, AuditReader, Event, Position
from service.tokens.audit.verification import Verification

CSV = "text/csv"
_encode = msgspec.json.Encoder().encode
# An empty filter, as an unset shell variable makes one, would match every entry. So it is refused.
_Word = Annotated[str, Meta(min_length=1)]


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Filters and page of the list."""

    actor: Annotated[_Word, Meta(description="who did it: an account, or `token:` and an id")] = ""
    action: Action | UnsetType = UNSET
    target: Annotated[_Word, Meta(description="the id that it was done to")] = ""
    since: Annotated[Instant, Meta(description="from then on")] | None = msgspec.field(name="from", default=None)
    to: Annotated[Instant, Meta(description="before then")] | None = None
    q: Annotated[str, Meta(min_length=1, max_length=200, description="a text in an entry")] = ""
    limit: PageSize = PAGE
    # The pattern is only for the OpenAPI document: `_position` refuses a wrong cursor and says what to do.
    cursor: Annotated[Cursor, Meta(extra_json_schema={"pattern": f"^({POSITION})?$"})] | None = None
    format: Annotated[Literal["json", "ndjson", "csv"], Meta(description="json, a page, unless given")] = "json"


class AuditApi(OperationGroup, tag="audit"):
    """Shows the audit log to callers who may read tokens."""

    _audit: AuditReader
    _verification: Verification
    _audit_log: AuditLog

    @Operation("GET", "/api/admin/audit", READ, "listAuditEntries", streams=(NDJSON, CSV), answer_headers=NAMED)
    async def page(self, call: Call, caller: Caller, query: AuditQuery) -> AuditPage | Download:
        """List changes and sign-ins.

        Newest first. With `format`, all matching entries as a stream; such an export is logged too.
        """
        wanted = AuditFilter(
            actor=query.actor,
            action="" if query.action is UNSET else query.action,
            target=query.target,
            text=query.q,
            since=instant_or_none(query.since, "from"),
            until=instant_or_none(query.to, "to"),
        )
        if query.format == "json":
            events, after = await self._audit.page(wanted, query.limit, _position(query.cursor))
            return AuditPage(await paced_list(map(shown, events)), str(after) if after else None)
        asked = {name: value for name, value in call.query if name != "format"}
        # Logged before the first line is sent: an export that breaks off has still given out a part.
        if not call.head_only:
            await self._audit_log.write("export.made", caller.origin, "audit", after={"format": query.format, **asked})
        lines, media_type = (_ndjson_lines, NDJSON) if query.format == "ndjson" else (_csv_lines, CSV)
        return await Download(call, lines(self._audit.every(wanted)), media_type, f"audit.{query.format}").begun()

    @Operation("GET", "/api/admin/audit/verification", READ, "verifyAuditLog")
    async def verify(self, caller: Caller) -> AuditVerification:
        """Verify the log.

        Reads the whole log. Faults are entries changed, misplaced or missing since they were sealed. An entry is
        sealed about a second after it is written.
        """
        return verified(await self._verification.verify())


def _position(cursor: str | None) -> Position | None:
    if not cursor:
        return None
    try:
        return Position.read(cursor)
    except ValueError:
        raise wrong("cursor", "this cursor belongs to another list: start again without it") from None


async def _ndjson_lines(events: AsyncIterator[Event]) -> AsyncIterator[list[bytes]]:
    async for event in events:
        yield [_encode(shown(event)), b"\n"]


async def _csv_lines(events: AsyncIterator[Event]) -> AsyncIterator[list[bytes]]:
    """CSV with a line of headings."""
    yield [csv_rows([[field.encode_name for field in msgspec.structs.fields(AuditShown)]]).encode()]
    async for event in events:
        yield [csv_rows([map(_cell, msgspec.structs.astuple(shown(event)))]).encode()]


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else _encode(value).decode()
