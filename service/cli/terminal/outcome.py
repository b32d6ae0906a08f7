"""What a change of several tokens did, as the service answers it and as it is told."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from service.cli.failure import Failure, NoAnswer
from service.cli.terminal.output import note, on_terminal
from service.cli.terminal.report import Part, Report, said, table

# `updated`: ids; `skipped`: {"id", "code"}.
Result = dict[str, list[Any]]
# What a person reads of many; a pipe gets them all.
_MOST_ROWS = 50
_REASONS = {
    "not_found": "does not exist",
    "token_revoked": "is revoked for good",
    "token_expired": "has expired",
}


def outcome(result: Result, done: str) -> Report:
    """What was done; a Failure if anything was left as it was."""
    updated, skipped = result["updated"], result["skipped"]
    if on_terminal() and len(updated) > _MOST_ROWS:
        shown: Part | None = said(f"{len(updated):,} tokens {done}.")
    else:
        shown = table(("ID", "DONE"), [(token_id, done) for token_id in updated])
    why = [said(f"{one['id']} {_REASONS.get(one['code'], one['code'])}") for one in skipped]
    return Report(result, shown, *why, failure=Failure(f"{len(skipped)} not {done}") if skipped else None)


@contextmanager
def told_if_cut_off(updated: Sequence[str], count: int, done: str) -> Iterator[None]:
    """Says how many were done before a failure, or before somebody stopped the command."""
    try:
        yield
    except (Failure, KeyboardInterrupt) as reason:
        if updated or not isinstance(reason, Failure) or isinstance(reason, NoAnswer):
            # Of the part whose answer was lost nobody knows.
            note(f"At least {counted(len(updated))} {done} of {count:,}; then:")
        raise


def counted(tokens: int) -> str:
    """A number of tokens in words."""
    return f"{tokens:,} {'token' if tokens == 1 else 'tokens'}"
