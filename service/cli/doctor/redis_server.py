"""The doctor's checks of Redis: reachable, fit for tokens, clocks equal."""

import asyncio
import time
from functools import partial
from typing import NamedTuple
from urllib.parse import quote

from service.embedded import EmbeddedError
from service.embedded.data_note import noted_marks, refuse_lost_data
from service.embedded.prerequisites import find_server, read_server_key, refuse_older_server, socket_path_of
from service.errors import ServiceError, StoreUnavailable
from service.keyring import Keyring
from service.settings import Settings
from service.store.driver.causes import NO_CONNECTION, cause_of
from service.store.driver.connection import Link
from service.store.driver.keys import Keys
from service.store.driver.replies import NotPrimary, Refused, unavailable
from service.store.driver.server_clock import SECONDS_APART, SECONDS_TOO_FAR_APART, ServerClock, difference
from service.store.monitoring.inspection import inspect, told_away
from service.store.monitoring.namespace import key_fault, reset_fault
from service.store.servers.links import Servers, servers_of

OK, WARNING, FAILED = "ok", "warning", "failed"


class Finding(NamedTuple):
    """A check, its result (ok, warning, failed), and the state or what to do."""

    check: str
    result: str
    detail: str


async def redis_of(settings: Settings) -> list[Finding]:
    """The findings about the Redis in use, or about the server that will be started."""
    if settings.redis_url:
        return await _examine(settings.redis_url, settings)
    try:
        server = find_server(settings.redis_bin)
        refuse_older_server(server, settings.data_path)
        refuse_lost_data(settings.data_path)
        path = socket_path_of(settings.data_path.absolute())
    except EmbeddedError as error:
        return [Finding("redis", FAILED, str(error))]
    found = await _examine(f"unix://{quote(path)}", settings)
    # It does not run now, as before a first start, which is no fault.
    if found[0].result == FAILED and len(found) == 1:
        mark = noted_marks(settings.data_path).get(settings.namespace)
        return [Finding("redis", OK, f"{server.name} ({server.path}) will be started"), *_key_fault(settings, mark)]
    return found


async def _examine(url: str, settings: Settings) -> list[Finding]:
    try:
        # Longer than the service waits, because a slow Redis should be described, not missed.
        servers = servers_of(url, timeout_seconds=2.0)
        # A separate connection first, because the pipeline only logs why it cannot connect.
        await (await servers.connect()).disconnect()
    except ValueError as error:
        return [Finding("redis", FAILED, f"TOKENS_REDIS_URL: {str(error).rstrip('.')}")]
    except Refused as error:
        return [Finding("redis role" if isinstance(error, NotPrimary) else "redis", FAILED, error.detail)]
    except NO_CONNECTION as error:
        return [Finding("redis", FAILED, f"{unavailable(cause_of(error)).cause}; check TOKENS_REDIS_URL")]
    try:
        nodes, away = await _nodes(servers, settings.namespace)
        if not nodes:
            raise away[0]
        found = [await _node(link, settings, in_cluster=len(servers.links) > 1) for link in nodes]
        keys = Keys(settings.namespace, 0)
        # All are in the first shard.
        mark, note, store_id = [
            None if 0 in away else await servers.links[0].execute("GET", key)
            for key in (keys.key_mark, keys.reset_note, keys.store_id)
        ]
    except ServiceError as error:
        return [Finding("redis", FAILED, error.cause if isinstance(error, StoreUnavailable) else error.detail)]
    finally:
        await servers.aclose()
    # Cluster nodes are mostly set up alike, so a finding about all of them is printed once.
    findings = [Finding("redis", FAILED, told_away(away))] if away else []
    findings += dict.fromkeys(one for said, _ in found for one in said)
    findings += _key_fault(settings, mark)
    if fault := reset_fault(note, store_id):
        findings.append(Finding("redis store reset", FAILED, fault))
    return [*findings, _clock(max((ahead for _, ahead in found), key=abs))]


async def _nodes(servers: Servers, namespace: str) -> tuple[list[Link], dict[int, BaseException]]:
    """The node of every shard, each once; and for each shard whose node does not answer, why."""
    # A command with a key of the shard finds the node that has it now.
    asked = [
        link.execute("EXISTS", Keys(namespace, shard).probe, retry=True) for shard, link in enumerate(servers.links)
    ]
    replies = await asyncio.gather(*asked, return_exceptions=True)
    away = {shard: reply for shard, reply in enumerate(replies) if isinstance(reply, BaseException)}
    here = [(shard, link) for shard, link in enumerate(servers.links) if shard not in away]
    # Several shards may be on one node. Its replication id identifies it; without one each shard counts.
    return list({link.replication_id or shard: link for shard, link in here}.values()), away


async def _node(link: Link, settings: Settings, *, in_cluster: bool) -> tuple[list[Finding], float]:
    """The findings about a node, and how many seconds its clock is ahead of this machine's."""
    scratch = Keys(settings.namespace, 0).probe
    inspection = await inspect(link, scratch, in_cluster=in_cluster, durability=settings.durability)
    started = time.perf_counter()
    await link.execute("TIME")
    seconds = time.perf_counter() - started
    clock = ServerClock(time.time)
    await clock.check(partial(link.execute, "TIME"))
    found = [Finding(f"redis {name}", FAILED, fault) for name, fault in inspection.faults.items()]
    found += [Finding("redis", WARNING, text) for text in inspection.warnings]
    if inspection.promise:
        found.append(Finding("durability", OK, inspection.promise))
    if not inspection.faults:
        kind = f"version {inspection.version}, master, {inspection.policy}"
        found.insert(0, Finding("redis", OK, f"{kind}, answers in {seconds * 1000:.2f} ms"))
    return found, clock.seconds_ahead


def _key_fault(settings: Settings, mark: bytes | None) -> list[Finding]:
    """A finding if the tokens' server key (by its mark) is not one that a start would use."""
    fault = key_fault(settings.namespace, mark, _key_marks(settings))
    return [Finding("redis server key", FAILED, fault)] if fault else []


def _key_marks(settings: Settings) -> tuple[bytes, ...]:
    """The marks of the server keys that a start would use; an unreadable key is reported by another check."""
    try:
        present = settings.secret_key or read_server_key(settings.data_path)
    except EmbeddedError:
        return ()
    return Keyring(present, settings.secret_key_previous).marks(settings.namespace)


def _clock(ahead: float) -> Finding:
    if abs(ahead) >= SECONDS_TOO_FAR_APART:
        return Finding("clock", FAILED, difference(ahead))
    if abs(ahead) >= SECONDS_APART:
        return Finding("clock", WARNING, difference(ahead))
    return Finding("clock", OK, "the same as that of Redis")
