"""What servers are set to, and what that promises of a change that was answered."""

from typing import NamedTuple

from service.errors import StoreUnavailable
from service.store.driver.connection import Link

# What is said of a server that does not tell.
UNKNOWN = "unknown"
_CONFIGURED = ("min-replicas-to-write", "appendfsync")
# By appendfsync: what a power failure takes with it.
_POWER = {
    "always": "a power failure loses nothing",
    "everysec": "a power failure loses a second or two",
    "no": "a power failure loses half a minute or more",
    "off": "a restart loses all since the last snapshot",
    UNKNOWN: "what a power failure loses is not known, because CONFIG GET is forbidden",
}


class Promise(NamedTuple):
    """What a node is set to and what that means, in one line, and what about it does not fit TOKENS_DURABILITY."""

    text: str
    warnings: tuple[str, ...]
    by_configuration: bool


async def promise_of(link: Link, facts: dict[str, str], durability: str, *, by_configuration: bool) -> Promise:
    """From the `facts` of INFO, and two CONFIG GET where they are allowed."""
    least, fsync = [await _configured(link, name) if by_configuration else UNKNOWN for name in _CONFIGURED]
    # INFO tells it only where it is above 0.
    if least == UNKNOWN and "min_slaves_good_slaves" not in facts:
        least = "0"
    fsync = fsync if facts.get("aof_enabled") == "1" else "off"
    replicas = int(facts.get("connected_slaves", 0))
    text = f"{durability}; {replicas} replicas, min-replicas-to-write {least}, appendfsync {fsync}: {_POWER[fsync]}"
    if replicas:
        text += ", a failover what no replica had yet"
    if replicas and least == "0":
        text += ", and an old primary that is cut off goes on taking writes"
    return Promise(text, tuple(_warnings(durability, replicas, fsync)), UNKNOWN not in (least, fsync))


def _warnings(durability: str, replicas: int, fsync: str) -> list[str]:
    found = []
    if durability in ("replicated", "both") and not replicas:
        found.append(f"TOKENS_DURABILITY={durability}, but a primary has no replica: what is ended is answered 202")
    if durability in ("fsync", "both") and fsync not in ("always", UNKNOWN):
        found.append(
            f"TOKENS_DURABILITY={durability}, but appendfsync is {fsync}: what is ended is mostly answered 202; "
            "set `appendonly yes` and `appendfsync always` (Redis 7.2 or later, or Valkey)"
        )
    return found


async def _configured(link: Link, name: str) -> str:
    try:
        reply = await link.execute("CONFIG", "GET", name, retry=True)
    except StoreUnavailable:
        return UNKNOWN
    return reply[1].decode() if len(reply) == 2 else UNKNOWN
