"""Rate limits (GCRA) and quotas: how they stand, by the arithmetic of lua/validate_limited.lua."""

import math
from collections.abc import Callable

from service.model import ManagedToken, Quota, RateLimit
from service.store.credentials import Charge, CredentialStore
from service.store.driver.many_tokens import all_of
from service.store.limits.windows import window_of

# The script goes by the clock of Redis; the one here may lag behind it by so much.
_CLOCKS_APART_MILLISECONDS = 1000


def forecast(limits: tuple[RateLimit, ...], dues: list[float], now: float, cost: int = 1) -> Charge:
    """The charge of a request at `now`, epoch seconds; `dues` as `CredentialStore.dues` reads them at that time.

    One that costs nothing tells how they stand.
    """
    debts = [_debt(limit, due, now) for limit, due in zip(limits, dues, strict=True)]
    # Half a millisecond is let pass, as in the script.
    overs = [debt - (limit.at_once - cost) * limit.interval - 0.5 for limit, debt in zip(limits, debts, strict=True)]
    admitted = all(over <= 0 for over in overs)
    states: list[int] = []
    for limit, debt, over in zip(limits, debts, overs, strict=True):
        owed = debt + cost * limit.interval if admitted else debt
        full, wait = owed, max(over, 0)
        if limit.calendar is not None:
            full = (window_of(limit.calendar, now)[1] - now) * 1000
            wait = full if over > 0 else 0
        # As in the script: a division that should come out even may fall just short of it.
        remaining = int(limit.at_once - owed / limit.interval + 0.001)
        states += (max(min(remaining, cost - 1) if wait else remaining, 0), math.ceil(full), math.ceil(wait))
    return Charge(None, int(admitted), states)


def _debt(limit: RateLimit, due: float, now: float) -> float:
    if limit.calendar is not None:
        return max(due, 0)
    debt = due - now * 1000
    # What lies farther ahead was counted under another limit, or by somebody else.
    return debt if 0 <= debt <= limit.at_once * limit.interval + _CLOCKS_APART_MILLISECONDS else 0


def quotas_of(limits: tuple[RateLimit, ...], charge: Charge, cost: int = 1) -> tuple[Quota, ...]:
    """What a charge of `cost` left of each limit, in the whole seconds of the header fields."""
    quotas, states, place = [], charge.states, 0
    never = any(cost > limit.at_once for limit in limits)
    for limit in limits:
        full_in, next_in = states[place + 1], states[place + 2]
        # Rounded up: whoever comes again at the second that was told is not refused once more.
        quotas.append(Quota(limit, states[place], -(-full_in // 1000), 0 if never else -(-next_in // 1000)))
        place += 3
    return tuple(quotas)


class Standings:
    """Reads how much is left of the limits of tokens; charges nothing."""

    def __init__(self, store: CredentialStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def of(self, tokens: list[ManagedToken]) -> list[tuple[Quota, ...]]:
        """The limits of each token; one round trip for all, none where no token has any."""
        limited, read = [token for token in tokens if token.rate_limits], self._store.dues
        now = self._clock()
        found = await all_of([read(token.charged, token.rate_limits, now) for token in limited])
        told = {
            token.token_id: quotas_of(token.rate_limits, forecast(token.rate_limits, dues, now, 0))
            for token, dues in zip(limited, found, strict=True)
        }
        return [told.get(token.token_id, ()) for token in tokens]
