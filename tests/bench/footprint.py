"""What a managed token takes of Redis' memory, key family by key family, and what the service takes of this machine."""

import asyncio
import re
import tempfile
from collections import defaultdict
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

from redis import Redis

from tests.bench import machine, servers
from tests.bench.fill import fill, fill_now
from tests.bench.load import Case, measure
from tests.bench.memory import MIB
from tests.bench.plan import ALLOWED
from tests.embedded.embedded_runs import fresh_folder, running

_TRAIL = 1000
MANY = 50_000
_SECONDS = 5
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
    """Measure both on servers of their own and print them; nothing is evaluated."""
    with fresh_folder() as folder, running(folder) as server, Redis.from_url(server.url) as direct:
        rows = asyncio.run(_measure(direct, server.url, tokens))
    print("bytes of Redis for each token")
    for name, size in rows.items():
        print(f"{name:<40}{size:7.0f}")
    print("the service")
    for name, amount in _of_service().items():
        print(f"{name:<40}{amount:7.2f}")


def _of_service() -> dict[str, float]:
    """What one process takes until its first answer, at rest, and after it was asked about many tokens in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk")))
        env = servers.settings(folder, stack.enter_context(servers.redis(folder)).port)
        with servers.service(folder, env):
            """The first start may compile its modules."""
        server = stack.enter_context(servers.service(folder, env))
        # Nobody signs in: to check a password of an account takes half as long as the start.
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=servers.START_SECONDS)) as connection:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        found = {"seconds of CPU until the first answer": machine.cpu_seconds(server.pid)}
        found["MiB resident at rest"] = machine.resident_bytes(server.pid) / MIB
        many = folder / "many.txt"
        many.write_text("".join(f"{secret}\n" for secret, _ in fill_now(env, 0, MANY, 600).sample))
        head = "GET /validate HTTP/1.1\nHost: a.test\nAuthorization: Bearer @TOKEN@\n"
        case = Case("in turn", server, "", {"head": head, "tokens": str(many), "again": "1", **ALLOWED})
        asked = 0
        while asked < MANY:
            asked += measure(case, _SECONDS).requests
        found[f"MiB after {MANY:,} tokens in turn"] = machine.resident_bytes(server.pid) / MIB
        return found


async def _measure(direct: "Redis[bytes]", url: str, tokens: int) -> dict[str, float]:
    environment = {
        "TOKENS_REDIS_URL": url,
        "TOKENS_SECRET_KEY": "of the benchmark, and long enough",
        "TOKENS_AUDIT_MAX_ENTRIES": f"{_TRAIL}",
    }
    # First as many as fill the audit log, which grows no more then.
    first = (await fill(environment, 0, 2 * _TRAIL, 600)).count
    before = _used(direct)
    added = (await fill(environment, first, first + tokens, 600)).count
    in_all = (_used(direct) - before) / added
    sizes: defaultdict[str, float] = defaultdict(float)
    for key in direct.scan_iter(count=1000):
        family = _FAMILY.search(key)
        name = _NAMED.get(family[1].decode()) if family else None
        if name:
            # All members are looked at: those of a large key differ.
            sizes[name] += direct.memory_usage(key, samples=0) / (first + added)
    rest = in_all - sum(sizes.values())
    return {**dict(sorted(sizes.items(), key=lambda one: -one[1])), "tables of keys": rest, "in all": in_all}


def _used(direct: "Redis[bytes]") -> int:
    direct.execute_command("MEMORY", "PURGE")
    used: int = direct.info("memory")["used_memory"]
    return used
