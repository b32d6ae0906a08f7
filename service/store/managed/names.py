"""The names of managed tokens, each unique in the shard it hashes to: reserved, given up, searchable once revoked."""

from service.model import ManagedToken
from service.store.decoding import own_id
from service.store.driver.replies import Reply
from service.store.driver.scripts import Script
from service.store.driver.shards import Shards

# An import says which names of other shards its tokens are about to take, and takes them at once: one that is cut off
# between is not waited for, and the name is free to the same row when it is sent again.
ANNOUNCED_MILLISECONDS = 60_000
_UNDER_WAY_MILLISECONDS = 500


class Names:
    """Who bears which name. A renaming may lie in two shards, so it reserves first and gives up last."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._reserve = Script("reserve_name", retry=True)
        self._void = Script("void_reservation", retry=True)
        self._replace_holder = Script("replace_holder", retry=True)
        self._free = Script("free_name", retry=True)

    async def reserve(self, token: ManagedToken) -> bool:
        """Reserve the name of a token that is about to take it; False if another bears it."""
        shard, prefix, token_id = self._shards.of_name(token.name), name_prefix(token.name), token.token_id.encode()
        while True:
            reply: Reply = await self._reserve.run(shard.link, (shard.keys.names,), prefix, prefix + token_id, token_id)
            if reply == 1:
                return True
            # The holder may be a reservation whose renaming was cut off, or this token while it is asked.
            if not await self.free_if_void(token.name, reply) and reply.partition(b"!")[0] != token_id:
                return False

    async def holder(self, name: str) -> str:
        """The id of the token that bears this name, or has reserved it; empty where none does. One round trip."""
        shard, prefix = self._shards.of_name(name), name_prefix(name)
        # Ids are hex digits and lie before g; the `~` of a revoked token lies behind it.
        found = await shard.link.execute(
            "ZRANGEBYLEX", shard.keys.names, b"[" + prefix, b"(" + prefix + b"g", "LIMIT", 0, 1, retry=True
        )
        return own_id(found[0].removeprefix(prefix).partition(b"!")[0]) or "" if found else ""

    async def release(self, token: ManagedToken) -> None:
        """Give up the name a token bears in this record."""
        shard = self._shards.of_name(token.name)
        await shard.link.execute("ZREM", shard.keys.names, member(token), retry=True)

    async def free(self, token: ManagedToken) -> None:
        """Free the name of a revoked token, which is found by it all the same. Works on a full server."""
        shard = self._shards.of_name(token.name)
        await self._free.run(shard.link, (shard.keys.names,), member(token), freed_member(token))

    async def free_if_void(self, name: str, holder: bytes) -> bool:
        """Free a name unless its holder bears it; True if it may be free then. Four round trips.

        `holder` is what stands behind the name: an id, and `!` with a number while its token is asked. Then nobody gets
        the name, nor may the token itself take it, before the answer to a question asked since has had its effect.
        """
        token_id, mark, _ = holder.partition(b"!")
        if not mark:
            asked = await self._ask(token_id, name)
            held, holder = holder, b"%b!%d" % (holder, abs(asked))
            if not asked or not await self._replace(name, held, holder):
                return asked != 0
        asked = await self._ask(token_id, name)
        # The revocation of one that bears the name was cut off before that was free: it is found by it all the same.
        await self._replace(name, holder, b"" if asked > 0 else b"~" + token_id if asked < 0 else token_id)
        return asked != 0

    async def _replace(self, name: str, holder: bytes, other: bytes) -> bool:
        """Put another holder, or none, in the place of this one; False if it holds the name no more."""
        shard, prefix = self._shards.of_name(name), name_prefix(name)
        members = prefix + holder, prefix + other if other else b""
        return bool(await self._replace_holder.run(shard.link, (shard.keys.names,), *members))

    async def _ask(self, holder_id: bytes, name: str) -> int:
        """0 if the record of this token has the name, else how often this was asked: a renaming of it starts over.

        Less than 0 if it is revoked and has the name.
        """
        token_id = own_id(holder_id)
        holder = self._shards.of_id(token_id) if token_id else None
        if not token_id or holder is None:
            return 1
        left = ANNOUNCED_MILLISECONDS - _UNDER_WAY_MILLISECONDS
        asked: int = await self._void.run(holder.link, (holder.keys.metadata(token_id),), name, left)
        return asked


def name_prefix(name: str) -> bytes:
    """What members of `names` begin with that stand for this name."""
    return name.encode() + b"\x00"


def member(token: ManagedToken) -> bytes:
    """The member of `names`: name and id, NUL between them."""
    return name_prefix(token.name) + token.token_id.encode()


def freed_member(token: ManagedToken) -> bytes:
    """The member of `names` that keeps a revoked token searchable and its name free."""
    return name_prefix(token.name) + b"~" + member(token).removeprefix(name_prefix(token.name))
