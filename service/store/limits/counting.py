"""What a limit is counted under, and what the script that charges it has to know."""

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
    """Add to the keys and arguments of lua/validate_limited.lua what it has to know of an owner's limits."""
    for limit in limits:
        key, sizes = counted(shard.keys, owner, limit, now)
        keys.append(key)
        args += sizes


def pool_of(subject: str) -> str:
    """In the place of a token's id, which has no such length."""
    return encode_digest(digest_of(subject))


def counted(keys: Keys, token_id: str, limit: RateLimit, now: float) -> tuple[bytes, list[Argument]]:
    """The key under which a limit is counted at this time, and what the script has to know of it.

    Raises StoreUnavailable where this process has no data of a quota's time zone: what it counts by itself would
    come to more than the quota.
    """
    if limit.calendar is None:
        return keys.rate_of_token(token_id, limit.name), [repr(limit.interval), limit.at_once]
    try:
        start, end = window_of(limit.calendar, now)
    except NoSuchZone as error:
        raise StoreUnavailable(f"A quota in the zone {limit.calendar.time_zone} cannot be counted: {error}.") from None
    # The end is part of the key: a new window begins with a key that is not there.
    window = f"{limit.calendar.unit}:{end}"
    return keys.rate_of_token(token_id, f"{limit.name}:{window}"), [0, limit.limit, start, end]
