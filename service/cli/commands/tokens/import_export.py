"""`export` and `import`: all tokens out as lines; tokens in from lines or columns, one request after the other."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from service.cli.client.answers import Imported
from service.cli.client.http import Client, connect, patiently
from service.cli.client.references import TOKENS
from service.cli.commands.tokens.import_file import Part, lines_of, parts, rows_of
from service.cli.failure import Failure, failing
from service.cli.terminal.options import given
from service.cli.terminal.output import progress
from service.cli.terminal.report import Report, ReportCommand, said, table
from service.user_files import make_private, write_private

_COUNTED: Final = ("imported", "byDigest", "shortened")
# The answer that the service would give: a line too long for any request is not sent.
_TOO_LONG: Imported = {
    "imported": 0,
    "byDigest": 0,
    "shortened": 0,
    "skipped": [{"line": 1, "name": "", "code": "payload_too_large", "message": "A line may have 40 KiB."}],
}


@click.command("export", cls=ReportCommand)
@click.argument("file", default="-", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def export_tokens(file: Path, force: bool) -> Report | None:
    """Write all tokens to a file, without their secrets.

    One JSON object per line, to standard output (-) or to FILE, which only you can read. A service with the same server
    key can import it. Administrators only.
    """
    if str(file) == "-":
        for piece in connect().stream(f"{TOKENS}/export", {}):
            click.echo(piece, nl=False)
        return None
    # Not `exists`, because a link to a missing file would be followed and written.
    if os.path.lexists(file) and not force:
        raise Failure(f"{file} is there already: choose another name, or add --force")
    count = _write(connect(), file, force=force)
    return Report({"file": str(file), "tokens": count}, said(f"Tokens in {file}: {count:,}."))


def _write(client: Client, file: Path, *, force: bool) -> int:
    """Write the file. Returns its number of lines. Raises Failure; then the path has its earlier file, or none."""
    count = 0

    def pieces() -> Iterator[bytes]:
        nonlocal count
        with progress() as show:
            for piece in client.stream(f"{TOKENS}/export", {}):
                count += piece.count(b"\n")
                show(f"{count:,} tokens")
                yield piece

    with failing(OSError, f"cannot write {file}"):
        if force:
            write_private(file, pieces())
        elif not make_private(file, pieces()):
            raise Failure(f"{file} was made by another process meanwhile")
    return count


@click.command("import", cls=ReportCommand)
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Change nothing: say what would be imported.")
@click.option("--csv", "as_csv", is_flag=True, help="Read columns with a heading; default for a .csv file.")
@click.option("--number-names", is_flag=True, help="Add a number to a name that is taken.")
@click.option("--zone", help="Zone of times without one: UTC, +02:00 or Europe/Berlin.")
def import_tokens(file: BinaryIO, dry_run: bool, as_csv: bool, number_names: bool, zone: str | None) -> Report:
    """Import tokens of an export, or of another system.

    One JSON object per line, of `export` or {"name", "secret", "sha256" or "sha512", "duration" or "expiresAt", ...}.
    FILE may be -. A digest is hex, base64 or base64url; "of" says which part was hashed: whole (what a client
    presents), after:TEXT, before:TEXT, prefix:TEXT, suffix (TOKENS_IMPORT_SUFFIX) or bytes. A digest in "secret" is
    refused; add "secretIsClear": true if a secret only has that form. "expiresAt" may be epoch seconds, or null for
    never or the longest life allowed; "isActive", "createdAt" and "lastUsedAt" are kept.

    If the service asks to retry later it waits, for at most two minutes. What was imported before is skipped, so an
    import that broke off can be run again. A dry run finds names and secrets that occur twice within a thousand lines.
    Exit 1 if a line was skipped.
    """
    query = given({"dryRun": dry_run, "numberNames": number_names, "zone": zone})
    lines = rows_of(file) if as_csv or str(getattr(file, "name", "")).endswith(".csv") else lines_of(file)
    taken = _take(connect(), parts(lines), query)
    skipped, would_be = taken.skipped, "would be " if dry_run else ""
    imported, by_digest, shortened = taken.counts.values()
    notes = [f"{imported:,} {would_be}imported."]
    if shortened:
        notes.append(f"{shortened:,} without an end, as long as tokens may live here (TOKENS_MAX_LIFETIME_DAYS).")
    if taken.repeated and skipped:
        notes.append(f"{taken.repeated:,} lines were sent again, some of which the first time may have brought in.")
    if by_digest and not dry_run:
        notes.append(f"{by_digest:,} by digest, which only use can prove: try one with token-service verify.")
    return Report(
        {**taken.counts, "skipped": skipped, "dryRun": dry_run},
        table(
            ("LINE", "CODE", "NAME", "WHY"),
            [[one[name] for name in ("line", "code", "name", "message")] for one in skipped],
        ),
        *map(said, notes),
        failure=Failure(f"{len(skipped):,} {would_be}skipped") if skipped else None,
    )


@dataclass
class _Taken:
    """What an import has done so far; skipped lines have their number in the file."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))
    skipped: list[dict[str, Any]] = field(default_factory=list)
    last_line: int = 0
    repeated: int = 0

    def add(self, part: Part, answer: Imported) -> None:
        for name in _COUNTED:
            self.counts[name] += answer[name]
        self.skipped += [{**one, "line": part.numbers[one["line"] - 1]} for one in answer["skipped"]]
        self.last_line = part.numbers[-1]

    def __str__(self) -> str:
        return f"line {self.last_line:,}: {self.counts['imported']:,} imported, {len(self.skipped):,} skipped"


def _take(client: Client, cut: Iterable[Part], query: dict[str, Any]) -> _Taken:
    taken = _Taken()
    try:
        with progress() as show:
            for part in cut:
                taken.add(part, _sent(client, part, query, taken, show) if part.body else _TOO_LONG)
                show(str(taken))
    except (Failure, KeyboardInterrupt) as reason:
        if not isinstance(reason, Failure):
            reason.add_note(f"Up to {taken}, of the next lines perhaps some. Run it again: what is in is skipped.")
        elif taken.last_line:
            reason.add_note(f"Up to {taken}. Run it again after this:")
        raise
    return taken


def _sent(client: Client, part: Part, query: dict[str, Any], taken: _Taken, show: Callable[[str], None]) -> Imported:
    """The answer to a part. It is sent again when the service says so, which then skips what it has already."""
    waited_for: list[str] = []

    def tell(why: str) -> None:
        waited_for.append(why)
        show(f"{taken}; {why}")

    answer = patiently(lambda: client.ask("POST", f"{TOKENS}/import", query=query, body=part.body), tell)
    if waited_for:
        taken.repeated += len(part.numbers)
    return client.members(answer, Imported)
