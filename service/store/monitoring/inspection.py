"""What a server must fulfil to be used, and what its settings promise about a change that was acknowledged."""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha1

import msgspec
from redis.exceptions import NoScriptError

from service.errors import StoreFull, StoreUnavailable
from service.store.driver.connection import Link
from service.store.driver.replies import Argument, Redirect
from service.store.driver.scripts import Script

# The first version with GETDEL, which spends a one-time token.
MINIMUM_VERSION = (6, 2)
_WAITAOF_VERSION = (7, 2)
_HARMLESS = "return redis.call('EXISTS', KEYS[1])"
_HARMLESS_SHA = sha1(_HARMLESS.encode(), usedforsecurity=False).hexdigest()
_try_commands = Script("try_commands", retry=True)
# Stands for a value that the server does not tell.
UNKNOWN = "unknown"
_FULL = "Redis is at its maxmemory: nothing is issued, and limits admit whatever comes, until there is more room"
_CONFIGURED = ("min-replicas-to-write", "appendfsync")
# By appendfsync: what a power failure loses.
_POWER = {
    "always": "a power failure loses nothing",
    "everysec": "a power failure loses a second or two",
    "no": "a power failure loses half a minute or more",
    "off": "a restart loses all since the last snapshot",
    UNKNOWN: "what a power failure loses is not known, because CONFIG GET is forbidden",
}


async def _promise_of(
    link: Link, facts: dict[str, str], durability: str, *, by_configuration: bool
) -> tuple[str, list[str], bool]:
    """A node's settings and their meaning, in one line; what in them contradicts `TOKENS_DURABILITY`; and whether the
    node told all of them. From the `facts` of INFO, and two CONFIG GET if they are allowed.
    """
    least, fsync = [await _configured(link, name) if by_configuration else UNKNOWN for name in _CONFIGURED]
    # INFO has this field only if the setting is above 0.
    if least == UNKNOWN and "min_slaves_good_slaves" not in facts:
        least = "0"
    fsync = fsync if facts.get("aof_enabled") == "1" else "off"
    replicas = int(facts.get("connected_slaves", 0))
    text = f"{durability}; {replicas} replicas, min-replicas-to-write {least}, appendfsync {fsync}: {_POWER[fsync]}"
    if replicas:
        text += ", a failover what no replica had yet"
    if replicas and least == "0":
        text += ", and an old primary that is cut off goes on taking writes"
    warnings = _warnings(durability, replicas, fsync)
    # Valkey reports 7.2 as the version of Redis that it is compatible with.
    if durability in ("fsync", "both") and _release(facts) < _WAITAOF_VERSION:
        warnings.append(f"TOKENS_DURABILITY={durability} needs Redis 7.2 or Valkey: what is ended is answered 202")
    return text, warnings, UNKNOWN not in (least, fsync)


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


def told_away(away: Mapping[int, BaseException]) -> str:
    """The text about shards whose nodes do not answer, and why; empty if there are none."""
    why = dict.fromkeys(one.cause for one in away.values() if isinstance(one, StoreUnavailable))
    return f"the nodes of shards {', '.join(map(str, sorted(away)))} do not answer: {'; '.join(why)}" if away else ""


class Inspection(msgspec.Struct, frozen=True):
    """What a check of the server found. `faults` (check to reason) stop readiness; `warnings` are only logged.

    `unknown` are the checks that could not be made; `promise` is the line about the node's settings and their meaning,
    empty if INFO is forbidden; `by_configuration`: CONFIG GET is allowed.
    """

    version: str
    policy: str
    faults: dict[str, str]
    warnings: tuple[str, ...]
    promise: str = ""
    by_configuration: bool = True
    unknown: tuple[str, ...] = ()


async def inspect(
    link: Link,
    scratch_key: bytes,
    *,
    in_cluster: bool = False,
    durability: str = "memory",
    by_configuration: bool = True,
) -> Inspection:
    """Check the reply to INFO: faults are an old version, an eviction policy that deletes tokens, and a cluster unless
    `in_cluster`. So are forbidden commands and a disk that cannot be written to, which takes four more commands.
    `durability`: the value of `TOKENS_DURABILITY`. Without `by_configuration` CONFIG, refused before, is not sent.

    If INFO is forbidden, the server is tested with four more commands on `scratch_key`.
    Raises StoreUnavailable if it does not answer.
    """
    if in_cluster:
        # Makes the link follow a moved key, and raises if its node is away: below, that would count as a refusal.
        await link.execute("EXISTS", scratch_key, retry=True)
    try:
        info: bytes = await link.execute("INFO", retry=True)
    except StoreUnavailable:
        # INFO is forbidden, or the server does not answer: the probe works in the first case and raises in the second.
        return await _probe(link, scratch_key)
    facts = dict(line.partition(":")[::2] for line in info.decode("utf-8", "replace").splitlines())
    faults = _faults(facts, in_cluster=in_cluster)
    # A DEL is refused if the disk fails, but not if the memory is full. Of a key that is not there it changes nothing.
    faults |= await _refused(link, "writes", "DEL", scratch_key)
    # A script is called by its digest, or by its source if the server does not know it: two separate rights.
    faults |= await _refused(link, "scripts", "EVALSHA", _HARMLESS_SHA, 1, scratch_key)
    faults |= await _refused(link, "scripts", "EVAL", _HARMLESS, 1, scratch_key)
    faults = await _forbidden(link, scratch_key) | faults
    warnings = [_FULL] if _is_full(facts) else []
    if facts.get("aof_enabled") != "1":
        warnings.append("appendonly is off: a restart of Redis loses what was written since its last snapshot")
    elif not _mends_its_file(facts):
        warnings.append(
            "after a power failure this server may go on behind a torn end of its append-only file and lose what "
            "follows at its next start: BGREWRITEAOF right after such a start heals it; Valkey 9.1 needs none"
        )
    promise, misfits, told = await _promise_of(link, facts, durability, by_configuration=by_configuration)
    version = facts.get("valkey_version") or facts.get("redis_version", "0")
    return Inspection(version, _policy(facts), faults, (*warnings, *misfits), promise, told)


def _faults(facts: dict[str, str], *, in_cluster: bool) -> dict[str, str]:
    """Why a server with these facts must not be used, by check."""
    faults = {}
    if _release(facts) < MINIMUM_VERSION:
        faults["version"] = f"Redis {facts.get('redis_version', '0')} is too old: 6.2 or later is needed"
    if (policy := _policy(facts)) != "noeviction":
        faults["eviction"] = f"maxmemory-policy {policy} deletes tokens: set it to noeviction"
    if "cluster" in (facts.get("redis_mode"), facts.get("server_mode")) and not in_cluster:
        faults["role"] = "this Redis is a node of a cluster: write redis+cluster:// and addresses of its nodes"
    return faults


def _policy(facts: dict[str, str]) -> str:
    return facts.get("maxmemory_policy", "noeviction")


def _is_full(facts: dict[str, str]) -> bool:
    most, used, uncounted = (
        int(facts.get(name, 0)) for name in ("maxmemory", "used_memory", "mem_not_counted_for_evict")
    )
    return 0 < most <= used - uncounted


def _release(facts: dict[str, str]) -> tuple[int, ...]:
    return tuple(int(part) for part in facts.get("redis_version", "0").split(".")[:2] if part.isdigit())


def _mends_its_file(facts: dict[str, str]) -> bool:
    major, minor = [*facts.get("valkey_version", "").split("."), "0", "0"][:2]
    return major.isdigit() and minor.isdigit() and (int(major), int(minor)) >= (9, 1)


async def _probe(link: Link, scratch_key: bytes) -> Inspection:
    """SET PX, GETDEL, EVALSHA and EVAL on a key of our own: commands that the service cannot do without."""
    # A full server still answers validations.
    with suppress(StoreFull):
        await link.execute("SET", scratch_key, "1", "PX", 5000)
    await link.execute("GETDEL", scratch_key)
    with suppress(NoScriptError):
        await link.execute("EVALSHA", _HARMLESS_SHA, 1, scratch_key, retry=True)
    await link.execute("EVAL", _HARMLESS, 1, scratch_key, retry=True)
    warning = "INFO is forbidden: eviction and version were not checked"
    return Inspection(UNKNOWN, UNKNOWN, {}, (warning,), unknown=("version", "eviction"))


async def _forbidden(link: Link, scratch_key: bytes) -> dict[str, str]:
    """The fault if a command that the service calls is forbidden: a script that calls it would stop half done."""
    with suppress(Redirect, StoreUnavailable):
        forbidden: list[bytes] = await _try_commands.run(link, (scratch_key,))
        if forbidden:
            names = b", ".join(forbidden).decode()
            return {"scripts": f"Redis cannot be used: its access list forbids what the service needs: {names}"}
    return {}


async def _refused(link: Link, check: str, *command: Argument) -> dict[str, str]:
    """The fault, by check, if the server refuses a command. A redirection or an unknown script is no refusal."""
    try:
        await link.execute(*command, retry=True)
    except (Redirect, NoScriptError):
        return {}
    except StoreUnavailable as error:
        return {check: error.cause}
    return {}
