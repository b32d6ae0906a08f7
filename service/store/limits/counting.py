"""The key under which a limit is counted, and its parameters for the script that charges it."""

from service.errors import StoreUnavailable
from service.keyring import encode_digest
from service.model import RateLimit
from service.store.driver.keys import Keys
from service.store.driver.replies import Argument
from service.store.driver.shards import Shard
from service.store.limits.subjects import digest_of
from service.store.limits.windows import NoSuchZone, window_of


def add_limits(
    shard: Shard, owner: str, limits: tuple[RateLimit, ...], now: float, keys: list[bytes], args: list[Argument]
) -> None:
    """Add an owner's limits to the keys and arguments of lua/validate_limited.lua."""
    for limit in limits:
        key, sizes = counted(shard.keys, owner, limit, now)
        keys.append(key)
        args += sizes


def pool_of(subject: str) -> str:
    """The owner of a subject's shared limits, in the place of a token's id, whose length differs."""
    return encode_digest(digest_of(subject))


def counted(keys: Keys, token_id: str, limit: RateLimit, now: float) -> tuple[bytes, list[Argument]]:
    """The key under which a limit is counted at this time, and its arguments for the script.

    Raises StoreUnavailable if this process lacks the data of a quota's time zone: counting by itself, it would admit
    more than the quota.
    """
    if limit.calendar is None:
        return keys.rate_of_token(token_id, limit.name), [repr(limit.interval), limit.at_once]
    try:
        start, end = window_of(limit.calendar, now)
    except NoSuchZone as error:
        raise StoreUnavailable(f"A quota in the zone {limit.calendar.time_zone} cannot be counted: {error}.") from None
    # The end is part of the key, so that a new window begins with a new key.
    window = f"{limit.calendar.unit}:{end}"
    return keys.rate_of_token(token_id, f"{limit.name}:{window}"), [0, limit.limit, start, end]
