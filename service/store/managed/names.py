"""The names of managed tokens, each unique in its shard: reserved, given up, and searchable after a revocation."""

from service.model import ManagedToken
from service.store.decoding import own_id
from service.store.driver.replies import Reply
from service.store.driver.scripts import Script
from service.store.driver.shards import Shards

# An import announces the names of its tokens that belong to other shards, and takes them at once. If it is cut off in
# between, another token may take such a name after _UNDER_WAY_MILLISECONDS, and the same row at any time.
ANNOUNCED_MILLISECONDS = 60_000
_UNDER_WAY_MILLISECONDS = 500


class Names:
    """Which token has which name. A renaming may concern two shards, so it reserves first and gives up last."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._reserve = Script("reserve_name", retry=True)
        self._void = Script("void_reservation", retry=True)
        self._replace_holder = Script("replace_holder", retry=True)
        self._free = Script("free_name", retry=True)

    async def reserve(self, token: ManagedToken) -> bool:
        """Reserve the name of a token that is about to take it; False if another token has it."""
        shard, prefix, token_id = self._shards.of_name(token.name), name_prefix(token.name), token.token_id.encode()
        while True:
            reply: Reply = await self._reserve.run(shard.link, (shard.keys.names,), prefix, prefix + token_id, token_id)
            if reply == 1:
                return True
            # The holder may be a reservation of a renaming that was cut off, or this token with a question pending.
            if not await self.free_if_void(token.name, reply) and reply.partition(b"!")[0] != token_id:
                return False

    async def holder(self, name: str) -> str:
        """The id of the token that has this name, or has reserved it; empty if there is none. One round trip."""
        shard, prefix = self._shards.of_name(name), name_prefix(name)
        # Ids are hex digits and sort before g; the `~` of a revoked token sorts after it.
        found = await shard.link.execute(
            "ZRANGEBYLEX", shard.keys.names, b"[" + prefix, b"(" + prefix + b"g", "LIMIT", 0, 1, retry=True
        )
        return own_id(found[0].removeprefix(prefix).partition(b"!")[0]) or "" if found else ""

    async def release(self, token: ManagedToken) -> None:
        """Give up the name that a token has in this record."""
        shard = self._shards.of_name(token.name)
        await shard.link.execute("ZREM", shard.keys.names, member(token), retry=True)

    async def free(self, token: ManagedToken) -> None:
        """Free the name of a revoked token, which can still be found by it. Works on a full server."""
        shard = self._shards.of_name(token.name)
        await self._free.run(shard.link, (shard.keys.names,), member(token), freed_member(token))

    async def free_if_void(self, name: str, holder: bytes) -> bool:
        """Free a name unless its holder's record has it; True if it may be free then. Four round trips.

        `holder` is what follows the name in the index: an id, and `!` with a number while its record is being asked.
        With that mark no token gets the name, not even the holder, before an answer to a later question took effect.
        """
        token_id, mark, _ = holder.partition(b"!")
        if not mark:
            asked = await self._ask(token_id, name)
            held, holder = holder, b"%b!%d" % (holder, abs(asked))
            if not asked or not await self._replace(name, held, holder):
                return asked != 0
        asked = await self._ask(token_id, name)
        # Below 0 the revocation was cut off before the name was free. The token can still be found by its name.
        await self._replace(name, holder, b"" if asked > 0 else b"~" + token_id if asked < 0 else token_id)
        return asked != 0

    async def _replace(self, name: str, holder: bytes, other: bytes) -> bool:
        """Replace this holder by another one, or by none; False if it no longer holds the name."""
        shard, prefix = self._shards.of_name(name), name_prefix(name)
        members = prefix + holder, prefix + other if other else b""
        return bool(await self._replace_holder.run(shard.link, (shard.keys.names,), *members))

    async def _ask(self, holder_id: bytes, name: str) -> int:
        """0 if this token's record has the name, below 0 if it has and is revoked, else how often that was asked.

        Unless this returns 0, a renaming of the token that is under way starts over.
        """
        token_id = own_id(holder_id)
        holder = self._shards.of_id(token_id) if token_id else None
        if not token_id or holder is None:
            return 1
        left = ANNOUNCED_MILLISECONDS - _UNDER_WAY_MILLISECONDS
        asked: int = await self._void.run(holder.link, (holder.keys.metadata(token_id),), name, left)
        return asked


def name_prefix(name: str) -> bytes:
    """The prefix of all members of `names` for this name."""
    return name.encode() + b"\x00"


def member(token: ManagedToken) -> bytes:
    """The member of `names` for a token that holds its name: name and id, with NUL between them."""
    return name_prefix(token.name) + token.token_id.encode()


def freed_member(token: ManagedToken) -> bytes:
    """The member of `names` that keeps a revoked token searchable and its name free."""
    return name_prefix(token.name) + b"~" + member(token).removeprefix(name_prefix(token.name))
