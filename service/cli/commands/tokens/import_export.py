"""`export` and `import`: all tokens out as lines, and tokens in from such lines."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import click

from service.cli.client.http import Client, connect
from service.cli.client.references import TOKENS
from service.cli.commands.tokens.import_parts import Part, csv_parts, parts
from service.cli.failure import Failure
from service.cli.private_file import make_private, write_private
from service.cli.terminal.output import note
from service.cli.terminal.progress import progress
from service.cli.terminal.report import Report, json_option, said, table

# What the service would answer: a line that no request may carry is not sent.
_TOO_LONG: dict[str, Any] = {
    "imported": 0,
    "byDigest": 0,
    "shortened": 0,
    "skipped": [{"line": 1, "name": "", "code": "payload_too_large", "message": "A line may have 1 MiB."}],
}


@click.command("export")
@click.argument("file", default="-", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
def export_tokens(file: Path, force: bool) -> Report | None:
    """Write all tokens to a file, without their secrets.

    One JSON object a line, to standard output (-) or to FILE, which only you can read. `import` takes it in, where
    the server key is the same. For administrators alone.
    """
    if str(file) == "-":
        for piece in connect().stream(f"{TOKENS}/export", {}):
            sys.stdout.buffer.write(piece)
        return None
    # Not `exists`: a link that leads nowhere would be written through all the same.
    if os.path.lexists(file):
        _allow_over(file, force=force)
    count = _write(connect(), file, force=force)
    return Report({"file": str(file), "tokens": count}, said(f"Tokens in {file}: {count:,}."))


def _allow_over(file: Path, *, force: bool) -> None:
    if not force:
        raise Failure(f"{file} is there already: choose another name, or add --force")
    if file.exists() and not file.is_file():
        raise Failure(f"{file} is no file")


def _write(client: Client, file: Path, *, force: bool) -> int:
    """How many lines are in the file now. Raises Failure; then there is none, or the one that was there."""
    count = 0

    def pieces() -> Iterator[bytes]:
        nonlocal count
        with progress() as show:
            for piece in client.stream(f"{TOKENS}/export", {}):
                count += piece.count(b"\n")
                show(f"{count:,} tokens")
                yield piece

    try:
        if force:
            write_private(file, pieces())
        elif not make_private(file, pieces()):
            raise Failure(f"{file} was made by another process meanwhile")
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}") from None
    return count


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Change nothing: say what would be taken in.")
@click.option("--csv", "as_csv", is_flag=True, help="Columns with a heading, as of a file that ends in .csv.")
@click.option("--number-names", is_flag=True, help="Put a number behind a name that is taken.")
@click.option("--zone", help="Of times that name none: UTC, +02:00 or Europe/Berlin.")
@json_option
def import_tokens(file: BinaryIO, dry_run: bool, as_csv: bool, number_names: bool, zone: str | None) -> Report:
    """Take in tokens of an export, or of another system.

    One JSON object a line: of `export`, or {"name", "secret", "sha256" or "sha512", "duration" or "expiresAt", ...}.
    FILE may be -. A digest is hex, base64 or base64url; "of" says of what: whole (what a client presents),
    after:TEXT, before:TEXT, prefix:TEXT, suffix (TOKENS_IMPORT_SUFFIX) or bytes. A digest given as a secret is
    refused, add "secretIsClear": true where a secret only has that form. "expiresAt" may be epoch seconds, or null for
    never or the longest life allowed; "isActive", "createdAt" and "lastUsedAt" are kept.

    What was taken in before is skipped, so an import that broke off can be run again. A dry run checks for names and
    secrets that come twice in a thousand lines at a time. Exit 1 if a line was skipped.
    """
    query = {"dryRun": "true" if dry_run else "", "numberNames": "true" if number_names else "", "zone": zone or ""}
    cut = csv_parts(file) if as_csv or str(getattr(file, "name", "")).endswith(".csv") else parts(file)
    taken = _take(connect(), cut, query)
    skipped, would_be = taken.skipped, "would be " if dry_run else ""
    counts = {"imported": taken.imported, "byDigest": taken.by_digest, "shortened": taken.shortened}
    notes = [f"{taken.imported:,} {would_be}imported."]
    if taken.shortened:
        notes.append(f"{taken.shortened:,} without an end, as long as tokens may live here (TOKENS_MAX_LIFETIME_DAYS).")
    if taken.by_digest and not dry_run:
        notes.append(f"{taken.by_digest:,} by digest, which only use can prove: try one with token-service verify.")
    return Report(
        {**counts, "skipped": skipped, "dryRun": dry_run},
        table(
            ("LINE", "CODE", "NAME", "WHY"),
            [[one[name] for name in ("line", "code", "name", "message")] for one in skipped],
        ),
        *map(said, notes),
        failure=Failure(f"{len(skipped):,} {would_be}skipped") if skipped else None,
    )


@dataclass
class _Taken:
    """What an import did so far; lines that were not taken in by their number in the file."""

    imported: int = 0
    by_digest: int = 0
    shortened: int = 0
    last_line: int = 0
    skipped: list[dict[str, Any]] = field(default_factory=list)

    def add(self, part: Part, answer: dict[str, Any]) -> None:
        self.imported += answer["imported"]
        self.by_digest += answer["byDigest"]
        self.shortened += answer["shortened"]
        self.skipped += [{**one, "line": part.numbers[one["line"] - 1]} for one in answer["skipped"]]
        self.last_line = part.numbers[-1]

    def __str__(self) -> str:
        return f"line {self.last_line:,}: {self.imported:,} imported, {len(self.skipped):,} skipped"


def _take(client: Client, cut: Iterator[Part], query: dict[str, str]) -> _Taken:
    taken = _Taken()
    try:
        with progress() as show:
            for part in cut:
                taken.add(part, _send(client, part, query) if part.body else _TOO_LONG)
                show(str(taken))
    except (Failure, KeyboardInterrupt) as reason:
        if not isinstance(reason, Failure):
            note(f"Up to {taken}, of the next lines perhaps some. Run it again: what is in is skipped.")
        elif taken.last_line:
            note(f"Up to {taken}. Run it again after this:")
        raise
    return taken


def _send(client: Client, part: Part, query: dict[str, str]) -> dict[str, Any]:
    asked = {name: value for name, value in query.items() if value}
    return client.send("POST", f"{TOKENS}/import", part.body, query=asked)
