"""Which token has a name that is wanted for another one, told to callers that may read tokens."""

from collections.abc import Callable

from service.model import Origin, Status
from service.store.managed.tokens import ManagedStore
from service.tokens.rights import may_read


class NameHolders:
    """Says which token has a name, in what state it is, and how to free the name."""

    def __init__(self, store: ManagedStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def told(self, name: str, origin: Origin) -> str:
        """A sentence without a period; empty if no record has the name, or the caller may not read tokens.

        Two round trips.
        """
        token_id = await self._store.names.holder(name) if may_read(origin) else ""
        record = await self._store.get(token_id) if token_id else None
        # A rename under way has reserved a name that its record does not have yet.
        if record is None or record.token.name != name:
            return ""
        holder, status = record.token, record.token.status(self._clock())
        # An expired token can no longer be renamed.
        free = "revoke" if status is Status.EXPIRED else "rename or revoke"
        return f"Token {token_id} ({status}, made by {holder.created_by}) is called {name}: {free} it to free the name"
