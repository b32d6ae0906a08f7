"""Rate limits (GCRA): what one would answer to one more request, by the arithmetic of lua/validate_limited.lua."""

import math

from service.model import Quota
from service.store.credentials import Charge

# The script goes by the clock of Redis; the one here may lag behind it by so much.
_CLOCKS_APART_MILLISECONDS = 1000


def forecast(limit: tuple[int, int, int], due: float, now: float) -> Charge:
    """The charge of one request at `now`, epoch seconds; `due` is when the limit is full again, epoch milliseconds."""
    requests, period_seconds, burst = limit
    interval, instant = period_seconds * 1000 / requests, now * 1000
    # What lies farther ahead was counted under another limit, or by somebody else.
    if due < instant or due > instant + burst * interval + _CLOCKS_APART_MILLISECONDS:
        due = instant
    slack = (burst - 1) * interval - (due - instant)
    if slack < -0.5:
        return Charge(None, 0, 0, math.ceil(due - instant), math.ceil(-slack))
    remaining = int((slack / interval + 0.001) // 1)
    return Charge(None, 1, remaining, math.ceil(due + interval - instant), 0)


def quota_of(limit: tuple[int, int, int], charge: Charge) -> Quota:
    """What a charge left of a limit, in the whole seconds of the header fields."""
    reset = -(-charge.full_in // 1000)
    return Quota(limit[0], limit[1], charge.remaining, reset, max(1, -(-charge.next_in // 1000)))
