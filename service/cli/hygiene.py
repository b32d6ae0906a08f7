"""Tokens that nobody seems to need any more."""

from __future__ import annotations

from service.cli.client import Client
from service.cli.progress import Progress
from service.cli.references import every

UNUSED_DAYS = 90


def count_unused(client: Client) -> tuple[int, int]:
    """How many active tokens were neither created nor used for UNUSED_DAYS, and how many of them never were used.

    The service counts no such thing: every one of them is listed.
    """
    unused = never = 0
    with Progress() as progress:
        for page in every(client, {"status": "active", "unusedForDays": UNUSED_DAYS}):
            unused += len(page["tokens"])
            never += sum(token["lastUsedAt"] is None for token in page["tokens"])
            progress.show(f"{unused:,} unused")
    return unused, never
