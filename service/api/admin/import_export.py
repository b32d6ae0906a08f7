"""Import and export: all tokens out as NDJSON, and tokens of this or another system in."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.admin.schemas.import_export import export_lines, import_line, name_of
from service.api.admin.schemas.imported import Reading
from service.api.admin.schemas.tokens import Filter
from service.api.admin.token_views import TokenViews
from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER, IN_PERSON
from service.api.http.bodies import BODY_BYTES, BULK_BYTES
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import parse_zone
from service.api.pages.files import NAMED, NDJSON, Download
from service.errors import InvalidRequest
from service.model import Origin, Status
from service.store.pacing import UNDER_WAY, Overlapped, paced_list
from service.tokens.audit.log import AuditLog
from service.tokens.managed.import_admission import Exported, ImportAdmission, ImportedSecret
from service.tokens.managed.imports import SLICE, DryRun, Imports
from service.tokens.managed.queries import ManagedQueries

_ACCEPTED = (NDJSON.encode(), b"application/ndjson", b"application/jsonl")
_Numbered = tuple[int, Exported | ImportedSecret]
# Listing 1,000 skipped lines holds the loop for half a millisecond. 1 MiB can have 500,000 invalid lines.
MOST_TOLD = 1000
# The longest line of an export has about 36 KiB. To decode 1 MiB of JSON in one step takes up to 75 ms.
LINE_BYTES = 40 * 1024


class ImportQuery(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """How an import reads its lines."""

    dry_run: Annotated[bool, Meta(description="write nothing; the answer says what an import would do")] = False
    zone: Annotated[
        str, Meta(max_length=64, description="of times without one: UTC, +02:00 or Europe/Berlin; else refused")
    ] = ""
    number_names: Annotated[bool, Meta(description="put a number behind a name of another system's that is taken")] = (
        False
    )


class SkippedLine(msgspec.Struct):
    """A line that was not imported: its number from 1, its name, and the reason."""

    line: int
    name: str
    code: str
    message: str


class ImportResult(msgspec.Struct, rename="camel"):
    """How many tokens were imported, and the lines that were not: at most a thousand, and how many more there are.

    `byDigest` tokens came as digests alone. Whether such a digest matches the token that clients hold cannot be known
    from here: try one. `shortened` tokens had no end, and got the latest one allowed here.
    """

    imported: int
    by_digest: int
    shortened: int
    skipped: Annotated[list[SkippedLine], Meta(max_length=MOST_TOLD)]
    more_skipped: int

    def skip(self, line: SkippedLine) -> None:
        if len(self.skipped) < MOST_TOLD:
            self.skipped.append(line)
        else:
            self.more_skipped += 1


class ImportExportApi(OperationGroup, tag="managed"):
    """Export and import; administrators only."""

    _imports: Imports
    _admission: ImportAdmission
    _queries: ManagedQueries
    _views: TokenViews
    _audit_log: AuditLog
    _clock: Callable[[], float]

    @Operation(
        "GET",
        "/api/admin/tokens/export",
        IN_PERSON,
        "exportTokens",
        answers={200: str},
        media_types={200: NDJSON},
        answer_headers=NAMED,
    )
    async def give(self, call: Call, caller: Caller, query: Filter) -> Download:
        """Export tokens.

        One token per line, with its digest and never its secret. Without a filter it includes every status. A service
        with the same server key imports it unchanged. Only between a cluster and a single Redis the ids get another
        beginning, and an old secret in its overlap may end.
        """
        wanted = self._views.query(query)
        # A query without statuses leaves revoked tokens out, but an export must hold all.
        if not wanted.statuses:
            wanted = msgspec.structs.replace(wanted, statuses=frozenset(Status))
        if not call.head_only:
            await self._audit_log.write(
                "export.made", caller.origin, "tokens", after={"format": "ndjson", **dict(call.query)}
            )
        everything = self._queries.everything(wanted)
        lines = (await paced_list(export_lines(records)) async for records in everything)
        return await Download(call, lines, NDJSON, "tokens.ndjson").begun()

    @Operation("POST", "/api/admin/tokens/import", ADMINISTER, "importTokens", body=str, body_media_type=NDJSON)
    async def take(self, call: Call, caller: Caller, query: ImportQuery) -> ImportResult:
        """Import tokens.

        Up to 1 MiB of lines, each up to 40 KiB: lines of an export, or `{name, secret, sha256 or sha512, expiresAt or
        duration, ...}` for secrets of 16 to 1024 printable characters that another system made. A digest is hex, base64
        or base64url. A digest in `secret` is refused, because anyone who has seen it could use it; so is a salted hash.
        `of` says which part of the token was hashed: `whole` (what a client presents), `after:TEXT` or `before:TEXT`
        (the part after or before the first TEXT, the whole without one), `prefix:TEXT` (TEXT put before it), `suffix`
        (TOKENS_IMPORT_SUFFIX put after it), `bytes` (the bytes its hex digits encode). With `expiresAt` null the token
        has no end, or the latest one allowed here. The answer lists at most a thousand lines that were not imported.
        """
        dry_run = DryRun() if query.dry_run else None
        zone = parse_zone(query.zone) if query.zone else None
        reading = Reading(self._clock(), self._admission.latest_end(), zone)
        if (call.media_type or _ACCEPTED[0]) not in _ACCEPTED:
            raise InvalidRequest(f"Send the lines as {NDJSON}.", code="unsupported_media_type")
        body = await call.body(BULK_BYTES)
        result = ImportResult(0, 0, 0, [], 0)
        in_order = query.dry_run or self._admission.is_in_one_shard
        # A dry run takes the slices one after the other, because it must know which of two equal names comes second.
        async with Overlapped(1 if dry_run else UNDER_WAY) as steps:
            for rows in self._slices(_lines_of(body), reading, result, in_order=in_order):
                if rows is None:
                    await steps.end()
                    continue
                # An empty step would take the place of a step that has work.
                if not rows:
                    await steps.pause()
                    continue
                taken = self._take(rows, caller.origin, dry_run, result, number_names=query.number_names)
                await steps.begin(taken)
        # Rows are imported shard by shard, and unreadable lines are listed before them.
        result.skipped.sort(key=lambda skipped: skipped.line)
        return result

    def _slices(
        self, lines: Iterator[bytes], reading: Reading, result: ImportResult, *, in_order: bool
    ) -> Iterator[list[_Numbered] | None]:
        """Slices of rows whose tokens belong to one shard, except `in_order`. No slice has the same name twice.

        Yields an empty slice when many lines gave no full slice and other tasks should have a turn, and None when all
        earlier slices must have ended before the next begins.
        """
        home, waiting, names = 0, dict[int, list[_Numbered]](), set[str]()
        numbered = enumerate(lines, 1)
        while some := _some(numbered):
            has_yielded = False
            for number, row in _read(some, reading, result):
                # Of two rows with one name the first is imported. It must end before the second begins, because a row
                # is sent again when Redis was busy.
                if (name := _name(row)) in names:
                    yield from waiting.values()
                    yield None
                    waiting, names = {}, set()
                names.add(name)
                if not in_order:
                    home = self._admission.home(row)
                rows = waiting.setdefault(home, [])
                rows.append((number, row))
                if len(rows) == SLICE:
                    has_yielded = True
                    yield waiting.pop(home)
            # A long line is read in a step of its own.
            if len(some) == 1:
                yield from waiting.values()
                waiting = {}
            elif not has_yielded:
                yield []
        yield from waiting.values()

    async def _take(
        self, rows: list[_Numbered], origin: Origin, dry_run: DryRun | None, result: ImportResult, *, number_names: bool
    ) -> None:
        taken = await self._imports.take([row for _, row in rows], origin, dry_run, number_names=number_names)
        for (number, row), skipped in zip(rows, taken, strict=True):
            if skipped is None:
                result.imported += 1
                if isinstance(row, ImportedSecret):
                    # A secret in clear always has known last characters, a digest has none.
                    result.by_digest += not row.last_eight
                    result.shortened += row.shortened
            else:
                result.skip(SkippedLine(number, _name(row), skipped.code, skipped.message))


def _some(numbered: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The next lines to read in one step: about the size of an ordinary body, and at least one line."""
    some, size = list[tuple[int, bytes]](), 0
    while len(some) < SLICE and size < BODY_BYTES and (following := next(numbered, None)):
        some.append(following)
        size += len(following[1])
    return some


def _read(lines: list[tuple[int, bytes]], reading: Reading, result: ImportResult) -> Iterator[_Numbered]:
    """Rows with their line numbers. Adds lines that cannot be read to the result as skipped."""
    for number, line in lines:
        text = line.strip()
        if not text:
            continue
        if len(text) > LINE_BYTES:
            result.skip(SkippedLine(number, "", "payload_too_large", "A line may have 40 KiB."))
            continue
        try:
            yield number, import_line(text, reading)
        except InvalidRequest as refused:
            result.skip(SkippedLine(number, name_of(text), refused.code, refused.detail))


def _lines_of(body: bytes) -> Iterator[bytes]:
    """Yields line by line, because splitting a mebibyte at once blocks the loop.

    Drops the byte order mark that Windows editors write first. Raises InvalidRequest for UTF-16.
    """
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in body[:4]:
        raise InvalidRequest("These lines are UTF-16: write them as UTF-8 (iconv -f UTF-16 -t UTF-8).")
    return BytesIO(body.removeprefix(b"\xef\xbb\xbf"))


def _name(row: Exported | ImportedSecret) -> str:
    return row.token.name if isinstance(row, Exported) else row.new.name
