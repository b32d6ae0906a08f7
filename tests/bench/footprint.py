"""What a managed token takes of Redis' memory, key family by key family, and in all."""

import asyncio
import re
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from redis import Redis

from service import embedded
from tests.bench.fill import fill

_TRAIL = 1000
_FAMILY = re.compile(rb":\{\w+\}:(\w+)")
# What a token adds to: all but the audit log, which has a bound of its own.
_NAMED = {
    "c": "credential",
    "m": "record",
    "x": "why it is gone",
    "names": "names",
    "nb": "names to search",
    "on": "index by creation",
    "exp": "index by expiry",
    "by": "index by creator",
}


def run(tokens: int) -> None:
    """Fill a server of its own and print bytes for each token; nothing is evaluated."""
    folder = Path(tempfile.mkdtemp(prefix="tk"))
    server = embedded.start(folder, say=lambda _: None)
    try:
        with Redis.from_url(server.url) as direct:
            rows = asyncio.run(_measure(direct, server.url, tokens))
    finally:
        server.close()
        shutil.rmtree(folder)
    for name, size in rows.items():
        print(f"{name:<24}{size:7.0f}")


async def _measure(direct: "Redis[bytes]", url: str, tokens: int) -> dict[str, float]:
    environment = {
        "TOKENS_REDIS_URL": url,
        "TOKENS_SECRET_KEY": "of the benchmark, and long enough",
        "TOKENS_AUDIT_MAX_ENTRIES": f"{_TRAIL}",
    }
    # First as many as fill the audit log, which grows no more then.
    first = 2 * _TRAIL
    await fill(environment, 0, first, 600)
    before = _used(direct)
    await fill(environment, first, first + tokens, 600)
    in_all = (_used(direct) - before) / tokens
    sizes: defaultdict[str, float] = defaultdict(float)
    for key in direct.scan_iter(count=1000):
        family = _FAMILY.search(key)
        name = _NAMED.get(family[1].decode()) if family else None
        if name:
            # All members are looked at: those of a large key differ.
            sizes[name] += direct.memory_usage(key, samples=0) / (first + tokens)
    rest = in_all - sum(sizes.values())
    return {**dict(sorted(sizes.items(), key=lambda one: -one[1])), "tables of keys": rest, "in all": in_all}


def _used(direct: "Redis[bytes]") -> int:
    direct.execute_command("MEMORY", "PURGE")
    used: int = direct.info("memory")["used_memory"]
    return used
