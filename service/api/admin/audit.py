"""/api/admin/audit: who changed what, listed, exported and verified."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response, StreamingResponse

from service.api.admin.schemas.audit import AuditPage, AuditShown, AuditVerification, shown, verified
from service.api.auth.callers import Callers
from service.api.http.access import READ
from service.api.http.call import Call, Json, Operation, OperationGroup, convert_query
from service.api.http.timestamps import parse_rfc3339
from service.errors import wrong
from service.tokens.audit.log import AuditLog
from service.tokens.audit.reader import AuditFilter, AuditReader, Event, Position
from service.tokens.audit.verification import Verification

CSV = "text/csv"
NDJSON = "application/x-ndjson"
_LARGEST_PAGE = 200
_LINES = 100
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_encode = msgspec.json.Encoder().encode


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Filters and page of the list; `from` is included, `to` is not."""

    actor: str = ""
    action: str = ""
    target: str = ""
    since: str | None = msgspec.field(name="from", default=None)
    to: str | None = None
    q: Annotated[str, Meta(max_length=200)] = ""
    limit: Annotated[int, Meta(ge=1, le=_LARGEST_PAGE)] = 50
    cursor: str | None = None
    format: Literal["json", "ndjson", "csv"] = "json"


class AuditApi(OperationGroup):
    """Shows the log to those who may read tokens."""

    def __init__(self, audit: AuditReader, verification: Verification, audit_log: AuditLog, callers: Callers) -> None:
        self._audit = audit
        self._verification = verification
        self._audit_log = audit_log
        self._callers = callers

    @Operation(
        "GET", "/api/admin/audit", READ, "audit", query=AuditQuery, answers={200: AuditPage}, streams=(NDJSON, CSV)
    )
    async def page(self, call: Call) -> Response:
        """List changes and sign-ins.

        Newest first. With `format` all that match, as a stream; that is noted too.
        """
        caller = await self._callers.admit(call)
        query = convert_query(call, AuditQuery)
        wanted = AuditFilter(
            actor=query.actor,
            action=query.action,
            target=query.target,
            text=query.q,
            since=parse_rfc3339(query.since, "from") if query.since else 0,
            until=parse_rfc3339(query.to, "to") if query.to else 0,
        )
        if query.format == "json":
            events, after = await self._audit.page(wanted, query.limit, _position(query.cursor))
            return Json(AuditPage([shown(event) for event in events], str(after) if after else None))
        asked = {name: value for name, value in call.query if name != "format"}
        await self._audit_log.write("export.made", caller.origin, "audit", after={"format": query.format, **asked})
        lines = _ndjson if query.format == "ndjson" else _csv
        return stream(
            lines(self._audit.every(wanted)),
            NDJSON if query.format == "ndjson" else CSV,
            f"audit.{query.format}",
        )

    @Operation("GET", "/api/admin/audit/verification", READ, "audit", answers={200: AuditVerification})
    async def verify(self, call: Call) -> Response:
        """Verify the log.

        Reads all of it: faults are entries changed, misplaced or missing since they were sealed, a second after
        they were written.
        """
        await self._callers.admit(call)
        return Json(verified(await self._verification.verify()))


def stream(pieces: AsyncIterator[bytes], media_type: str, name: str) -> Response:
    """An answer of any length, to be kept as a file. Should Redis fail half-way the connection is cut."""
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, headers=headers, media_type=media_type)


def _position(cursor: str | None) -> Position | None:
    if not cursor:
        return None
    try:
        return Position.read(cursor)
    except ValueError:
        raise wrong("cursor", "this cursor belongs to another list: start again without it") from None


async def _ndjson(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for some in _grouped(events):
        yield b"".join(_encode(entry) + b"\n" for entry in some)


async def _csv(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    yield _rows([[field.encode_name for field in msgspec.structs.fields(AuditShown)]])
    async for some in _grouped(events):
        yield _rows([_cell(value) for value in msgspec.structs.astuple(entry)] for entry in some)


async def _grouped(events: AsyncIterator[Event]) -> AsyncIterator[list[AuditShown]]:
    some: list[AuditShown] = []
    async for event in events:
        some.append(shown(event))
        if len(some) == _LINES:
            yield some
            some = []
    if some:
        yield some


def _rows(rows: Iterable[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = "" if value is None else value if isinstance(value, str) else _encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) else text
