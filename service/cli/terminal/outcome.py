"""What a change of several tokens did, as the service answers it and as it is told."""

from typing import Any

from service.cli.failure import Failure
from service.cli.terminal.output import note, on_terminal, print_json, print_table

# `updated`: ids; `skipped`: {"id", "code"}.
Result = dict[str, list[Any]]
# What a person reads of many; a pipe gets them all.
_MOST_ROWS = 50
_REASONS = {
    "not_found": "does not exist",
    "token_revoked": "is revoked for good",
    "token_expired": "has expired",
}


def report(result: Result, done: str, *, as_json: bool) -> None:
    """What was done; Failure if anything was left as it was."""
    updated = result["updated"]
    if as_json:
        print_json(result)
    elif on_terminal() and len(updated) > _MOST_ROWS:
        note(f"{len(updated):,} tokens {done}.")
    elif updated:
        print_table(("ID", "DONE"), [(token_id, done) for token_id in updated])
    for skipped in result["skipped"]:
        note(f"{skipped['id']} {_REASONS.get(skipped['code'], skipped['code'])}")
    if result["skipped"]:
        raise Failure(f"{len(result['skipped'])} not {done}")
