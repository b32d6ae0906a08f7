"""Notices: events for webhooks that no change causes, so that the audit log does not have them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from service.keyring import id_of
from service.model import Origin
from service.store.driver.shards import Shard
from service.store.managed.tokens import ManagedStore
from service.store.webhooks import WebhookStore
from service.tokens.audit.log import AuditLog
from service.tokens.webhooks.events import EventType
from service.tokens.webhooks.registry import Webhooks

# How long before its end a token is announced, if it lives longer than that.
WINDOWS = {"7d": 7 * 86400, "1d": 86400}
# All processes together announce a token once in this time, because Redis remembers that it was announced.
_HOLD_MILLISECONDS = 60_000
_SLICE = 200
_SLICES = 10
_LAST = "~"  # after every id
_REACHED = rb"([0-9]{1,12}) (~|[0-9a-f]{16})"
_CLOCK = Origin(actor="clock", address="", channel="sweep", request_id="")
_GATEWAY = Origin(actor="holder", address="", channel="validate", request_id="")


@dataclass(eq=False, repr=False)
class Notices:
    """Collects what requests bring to notice, and finds tokens that expire soon.

    Collects nothing that no webhook wants.
    """

    _store: WebhookStore
    _webhooks: Webhooks
    _tokens: ManagedStore
    _audit_log: AuditLog
    _clock: Callable[[], float]
    _limited: set[str] = field(default_factory=set, init=False)
    _spent_twice: set[str] = field(default_factory=set, init=False)

    def limit_exceeded(self, token_id: str) -> None:
        """A rate limit refused a request of this managed token; announced at most once a minute."""
        if self._webhooks.wants(EventType.LIMIT_EXCEEDED):
            self._limited.add(token_id)

    def consumed_twice(self, digest: bytes) -> None:
        """A one-time token that was just spent was presented again, by somebody else."""
        if self._webhooks.wants(EventType.CONSUMED_TWICE):
            # Its record was removed by the first use.
            self._spent_twice.add(id_of(digest))

    async def flush(self) -> None:
        """Write what was collected. Raises StoreUnavailable; what could not be written is dropped."""
        # Taken before the first write: what comes meanwhile belongs to the next pass.
        limited, self._limited = self._limited, set()
        spent_twice, self._spent_twice = self._spent_twice, set()
        for event, names in ((EventType.LIMIT_EXCEEDED, limited), (EventType.CONSUMED_TWICE, spent_twice)):
            for name in names:
                entry = self._audit_log.entry(event, _GATEWAY, name)
                await self._store.notice(name, entry, hold_milliseconds=_HOLD_MILLISECONDS)

    async def announce_expiring(self, shard: Shard) -> bool:
        """Write notices of tokens whose end came within a window since the last pass, each once.

        At most 2,000 per window. True if there are more to write.
        """
        more = False
        if self._webhooks.wants(EventType.EXPIRING):
            for window, seconds in WINDOWS.items():
                left = _SLICES
                while left and await self._announce(shard, window, seconds):
                    left -= 1
                more |= not left
        return more

    async def _announce(self, shard: Shard, window: str, seconds: int) -> bool:
        """One slice. True if there are more."""
        now = int(self._clock())
        seen = await self._store.reached(shard, window)
        found = re.fullmatch(_REACHED, seen)
        if found is None:
            await self._store.announce(shard, window, seen, f"{now + seconds} {_LAST}", [])
            return False
        reached = int(found[1]), found[2].decode()
        due = await self._store.expiring(shard, reached, now + seconds, _SLICE)
        # A slice that is not full has reached the end of the window.
        upto = due[-1] if len(due) == _SLICE else (now + seconds, _LAST)
        if not due and upto <= reached:
            return False
        records = await self._tokens.get_many([token_id for _, token_id in due])
        tokens = [record.token for record in records if record is not None]
        entries = [
            self._audit_log.entry(
                EventType.EXPIRING, _CLOCK, one.token_id, after={"expires_at": one.expires_at, "window": window}
            )
            for one in tokens
            # A token that never had longer to live would be announced as soon as it was created.
            if now < one.expires_at > one.created_at + seconds
        ]
        written = await self._store.announce(shard, window, seen, f"{upto[0]} {upto[1]}", entries)
        return written and len(due) == _SLICE
