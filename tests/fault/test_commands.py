"""What the service says to Redis: only keys of the families in keys.py, and never a walk over all of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.client import Monitor

from service.store.driver import keys
from tests.fault.conftest import Open, Site
from tests.fault.test_secrets import TOKENS, Life

# Commands without a key, and those that would walk over everything or change the server.
KEYLESS = {"INFO", "PING", "HELLO", "CLIENT", "SELECT", "MULTI", "EXEC", "MONITOR"}
SCRIPTS = {"EVAL", "EVALSHA"}
NEVER = {
    "KEYS",
    "SCAN",
    "RANDOMKEY",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG",
    "DEBUG",
    "SORT",
    "SCRIPT",
    "FUNCTION",
    "SUBSCRIBE",
}
SHAPES = {
    # Any 32 bytes, as MONITOR escapes them.
    "<h>": r"""(?:\\x[0-9a-f]{2}|\\[nrtab"\\]|[^\\]){32}""",
    "<id>": "[0-9a-f]{16}",
    "<user>": "[A-Za-z0-9_-]*",
    "<owner>": "[A-Za-z0-9_-]*",
    "<name>": "[A-Za-z0-9_.:-]+",
    "<hour>": "[0-9]+",
    "<block>": "[0-9]+",
    "<limit>": "[A-Za-z0-9_.:-]+",
}


def families() -> re.Pattern[str]:
    """The table of keys.py as one expression, in the namespace of the site."""
    rows = re.findall(r"^(\S.*?)  +(?:string|hash|zset|stream|int|list|set)\b", keys.__doc__ or "", re.MULTILINE)
    names = [name for row in rows for name in row.split()]
    assert len(names) > 15, "the table of keys.py cannot be read"
    shapes = [re.sub("<[a-z]+>", lambda found: SHAPES[found[0]], name) for name in names]
    tags = "|".join(keys.TAGS)
    return re.compile(rf"tokens:\{{(?:{tags})\}}:(?:meta(?::(?:key|id|reset|probe))?|{'|'.join(shapes)})")


class Heard:
    """What MONITOR says meanwhile, those commands within scripts too."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def commands(self, until: str) -> Iterator[list[str]]:
        """Every command before the one that says this word."""
        while True:
            line = self._monitor.connection.read_response().decode("latin-1")
            command = re.findall(r'"((?:[^"\\]|\\.)*)"', line.partition("] ")[2])
            if until in command:
                return
            yield [command[0].upper(), *command[1:]]


@contextmanager
def listening(site: Site) -> Iterator[Heard]:
    with site.redis.client.monitor() as monitor:
        yield Heard(monitor)


def keys_of(command: list[str]) -> list[str]:
    """The keys that a command names."""
    name = command[0]
    if name in KEYLESS:
        return []
    if name in SCRIPTS:
        return command[3 : 3 + int(command[2])]
    if name in ("XREADGROUP", "XREAD"):
        streams = command[[part.upper() for part in command].index("STREAMS") + 1 :]
        return streams[: len(streams) // 2]
    if name in ("XINFO", "XGROUP", "OBJECT"):
        return command[2:3]
    if name in ("DEL", "EXISTS", "UNLINK", "MGET", "TOUCH"):
        return command[1:]
    return command[1:2]


def test_every_key_belongs_to_a_family_and_nothing_walks_over_all_of_them(open_site: Open) -> None:
    site = open_site()
    with listening(site) as heard:
        Life(site)
        site.client.get("/api/admin/tokens?q=canary&status=all&sort=name", bearer=site.admin)
        site.client.get("/metrics")
        site.client.get("/readyz")
        site.redis.client.echo("enough")
        commands = list(heard.commands(until="enough"))
    names = {command[0] for command in commands}
    assert {"EVALSHA", "GET", "GETDEL", "XADD", "HSET"} <= names, "too little was heard"
    assert not names & NEVER
    known = families()
    strange = {key for command in commands for key in keys_of(command) if not known.fullmatch(key)}
    assert strange == set()
    assert {len(command[1]) for command in commands if command[0] == "EVALSHA"} == {40}


def test_a_change_writes_its_own_row_however_many_names_there_are(open_site: Open) -> None:
    site, much = open_site(), 20_000
    blocks = [f"tokens:{{u0}}:nb:{block}" for block in range(1024)]
    with site.redis.client.pipeline(transaction=False) as filling:
        for block in blocks:
            filling.append(block, "\n" * much)
        filling.execute()
    with listening(site) as heard:
        token_id = site.create("one of many")["id"]
        site.client.done("POST", f"{TOKENS}/{token_id}/rotate", json_body={}, bearer=site.admin)
        site.client.done(
            "POST",
            f"{TOKENS}/import",
            body=b'{"name": "another", "secret": "of-another-system-1", "duration": "1day"}',
            bearer=site.admin,
        )
        site.redis.client.echo("enough")
        commands = list(heard.commands(until="enough"))
    assert {"APPEND", "SETRANGE"} <= {command[0] for command in commands}
    assert max(len("".join(command)) for command in commands) < much
