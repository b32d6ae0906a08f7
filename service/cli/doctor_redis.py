"""The doctor's checks of Redis: reached, fit for tokens, of the same time."""

from __future__ import annotations

import time
from urllib.parse import quote

from redis.exceptions import RedisError

from service.cli.finding import FAILED, OK, WARNING, Finding
from service.embedded import EmbeddedError
from service.embedded.premises import find_server, socket_path_of
from service.errors import ServiceError
from service.settings import Settings
from service.store.batch import Batch
from service.store.connection import connector, inspect
from service.store.keys import meta_key
from service.store.replies import NotPrimary

_SECONDS_APART = 2.0
_SECONDS_TOO_FAR_APART = 60.0


async def redis_of(settings: Settings) -> list[Finding]:
    """What there is to say of the Redis in use, or of the server that will be started."""
    if settings.redis_url:
        return await _examine(settings.redis_url, settings.namespace)
    try:
        server = find_server(settings.redis_bin or None)
        path = socket_path_of(settings.data_path.absolute())
    except EmbeddedError as error:
        return [Finding("redis", FAILED, str(error))]
    found = await _examine(f"unix://{quote(path)}", settings.namespace)
    if found[0].result == FAILED and len(found) == 1:
        return [Finding("redis", OK, f"{server.name} ({server.path}) will be started")]
    return found


async def _examine(url: str, namespace: str) -> list[Finding]:
    connect = connector(url, timeout_seconds=2.0)
    try:
        # On its own first, for the batch tells why it cannot connect to the log alone.
        await (await connect()).disconnect()
    except NotPrimary as fault:
        return [Finding("redis role", FAILED, fault.detail)]
    except (RedisError, OSError, TypeError, AttributeError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        return [Finding("redis", FAILED, f"cannot be reached: {reason}; check TOKENS_REDIS_URL")]
    batch = Batch(connect, timeout_seconds=2.0)
    try:
        inspection = await inspect(batch, meta_key(namespace) + b":probe")
        started = time.perf_counter()
        await batch.execute("PING")
        seconds = time.perf_counter() - started
        apart = await _seconds_apart(batch)
    except ServiceError as error:
        return [Finding("redis", FAILED, f"{error.detail} It must allow the commands that the README names.")]
    finally:
        await batch.aclose()
    found = [Finding(f"redis {name}", FAILED, fault) for name, fault in inspection.faults.items()]
    found += [Finding("redis", WARNING, text) for text in inspection.warnings]
    if not inspection.faults:
        kind = f"version {inspection.version}, master, {inspection.policy}"
        found.insert(0, Finding("redis", OK, f"{kind}, answers in {seconds * 1000:.2f} ms"))
    found.append(_clock(apart))
    return found


async def _seconds_apart(batch: Batch) -> float:
    """How far the clock of Redis is ahead of ours, to the time of one exchange."""
    before = time.time()
    seconds, micros = await batch.execute("TIME")
    return int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2


def _clock(apart: float) -> Finding:
    said = f"Redis is {abs(apart):.1f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) >= _SECONDS_TOO_FAR_APART:
        return Finding("clock", FAILED, f"{said}: tokens end at the wrong time; set both machines' clocks")
    if abs(apart) >= _SECONDS_APART:
        return Finding("clock", WARNING, f"{said}: set both machines' clocks")
    return Finding("clock", OK, "the same as that of Redis")
