"""The names of managed tokens, each unique in the shard it hashes to: reserved, given up, searchable once revoked."""

from service.model import ManagedToken
from service.store.driver.replies import Reply
from service.store.driver.scripts import Script
from service.store.driver.shards import Shards
from service.store.forms import own_id


class Names:
    """Who bears which name. A renaming may lie in two shards, so it reserves first and gives up last."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._reserve = Script("reserve_name", retry=True)
        self._void = Script("void_reservation", retry=True)

    async def reserve(self, token: ManagedToken) -> bool:
        """Reserve the name of a token that is about to take it; False if another bears it."""
        while True:
            reply = await self._hold(token.name, token.token_id.encode())
            # The holder may be a reservation whose renaming was cut off; a real one refuses the name.
            if reply == 1 or not await self.free_if_void(token.name, reply):
                return bool(reply == 1)

    async def _hold(self, name: str, token_id: bytes) -> Reply:
        """1 where this token holds the name now, else the id of the one that does."""
        shard, prefix = self._shards.of_name(name), name_prefix(name)
        reply: Reply = await self._reserve.run(shard.link, (shard.keys.names,), prefix, prefix + token_id, token_id)
        return reply

    async def holder(self, name: str) -> str:
        """The id of the token that bears this name, or has reserved it; empty where none does. One round trip."""
        shard, prefix = self._shards.of_name(name), name_prefix(name)
        # Ids are hex digits and lie before g; the `~` of a revoked token lies behind it.
        found = await shard.link.execute(
            "ZRANGEBYLEX", shard.keys.names, b"[" + prefix, b"(" + prefix + b"g", "LIMIT", 0, 1, retry=True
        )
        return own_id(found[0].removeprefix(prefix)) or "" if found else ""

    async def release(self, token: ManagedToken) -> None:
        """Give up the name a token bears in this record."""
        shard = self._shards.of_name(token.name)
        await shard.link.execute("ZREM", shard.keys.names, member(token), retry=True)

    async def free_if_void(self, name: str, holder_id: bytes) -> bool:
        """Free a name unless its holder bears it; True if it is free then. Four round trips.

        A renaming to the name may come between the question and the removal. It is seen when it is asked once more, or
        starts over by that.
        """
        if await self._bears(holder_id, name):
            return False
        shard = self._shards.of_name(name)
        await shard.link.execute("ZREM", shard.keys.names, name_prefix(name) + holder_id, retry=True)
        if await self._bears(holder_id, name):
            await self._hold(name, holder_id)
            return False
        return True

    async def _bears(self, holder_id: bytes, name: str) -> bool:
        """Does the record of this token say so? A renaming of it that has not been written yet starts over then."""
        token_id = own_id(holder_id)
        holder = self._shards.of_id(token_id) if token_id else None
        if not token_id or holder is None:
            return False
        return not await self._void.run(holder.link, (holder.keys.metadata(token_id),), name)


def name_prefix(name: str) -> bytes:
    """What members of `names` begin with that stand for this name."""
    return name.encode() + b"\x00"


def member(token: ManagedToken) -> bytes:
    """The member of `names`: name and id, NUL between them."""
    return name_prefix(token.name) + token.token_id.encode()


def freed_member(token: ManagedToken) -> bytes:
    """The member of `names` that keeps a revoked token searchable and its name free."""
    return name_prefix(token.name) + b"~" + member(token).removeprefix(name_prefix(token.name))
