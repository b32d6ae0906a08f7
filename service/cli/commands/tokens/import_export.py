"""`export` and `import`: all tokens out as lines, and tokens in from such lines."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from service.cli.client.http import Client, connect
from service.cli.client.references import TOKENS
from service.cli.commands.tokens.import_parts import Part, parts
from service.cli.failure import Failure
from service.cli.private_file import make_private, write_private
from service.cli.terminal.output import json_option, note, print_json, print_table
from service.cli.terminal.progress import Progress

_TOO_LONG = {"name": "", "code": "payload_too_large", "message": "A line may have 1 MiB."}


@click.command("export")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
def export_tokens(file: Path | None, force: bool, as_json: bool) -> None:
    """Write all tokens to a file, without their secrets.

    One JSON object a line, to standard output or to FILE, which only you can read. `import` takes it in, where
    the server key is the same. For administrators alone.
    """
    if file is not None and os.path.lexists(file):
        _allow_over(file, force=force)
    client = connect()
    if file is None:
        for piece in client.stream(f"{TOKENS}/export", {}):
            sys.stdout.buffer.write(piece)
        return
    count = _write(client, file, force=force)
    if as_json:
        print_json({"file": str(file), "tokens": count})
    else:
        note(f"Tokens in {file}: {count:,}.")


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
        with Progress() as progress:
            for piece in client.stream(f"{TOKENS}/export", {}):
                count += piece.count(b"\n")
                progress.show(f"{count:,} tokens")
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
@json_option
def import_tokens(file: BinaryIO, dry_run: bool, as_json: bool) -> None:
    """Take in tokens of an export, or of another system.

    One JSON object a line: of `export`, or {"name", "secret" or "sha256", "duration" or "expiresAt", ...}. FILE
    may be -. What was taken in before is skipped, so an import that broke off can be run again. A dry run checks
    for names and secrets that come twice in a thousand lines at a time. Exit 1 if a line was skipped.
    """
    imported, skipped = _take(connect(), file, dry_run=dry_run)
    if as_json:
        print_json({"imported": imported, "skipped": skipped, "dryRun": dry_run})
    else:
        if skipped:
            rows = [[one[name] for name in ("line", "code", "name", "message")] for one in skipped]
            print_table(("LINE", "CODE", "NAME", "WHY"), rows, optional=0)
        note(f"{imported:,} {'would be ' if dry_run else ''}imported.")
    if skipped:
        raise Failure(f"{len(skipped):,} {'would be ' if dry_run else ''}skipped")


def _take(client: Client, file: BinaryIO, *, dry_run: bool) -> tuple[int, list[dict[str, Any]]]:
    """How many tokens were taken in, and the lines that were not, by their number in the file."""
    imported, last = 0, 0
    skipped: list[dict[str, Any]] = []
    try:
        with Progress() as progress:
            for part in parts(file):
                taken, refused = _take_part(client, part, dry_run=dry_run)
                imported += taken
                skipped += refused
                last = part.numbers[-1]
                progress.show(f"line {last:,}: {imported:,} imported, {len(skipped):,} skipped")
    except Failure:
        if last:
            note(f"Up to line {last:,}: {imported:,} imported, {len(skipped):,} skipped. Run it again after this:")
        raise
    return imported, skipped


def _take_part(client: Client, part: Part, *, dry_run: bool) -> tuple[int, list[dict[str, Any]]]:
    if not part.body:
        return 0, [{"line": part.numbers[0], **_TOO_LONG}]
    query = {"dryRun": "true"} if dry_run else None
    answer = client.send("POST", f"{TOKENS}/import", part.body, query=query)
    return answer["imported"], [{**one, "line": part.numbers[one["line"] - 1]} for one in answer["skipped"]]
