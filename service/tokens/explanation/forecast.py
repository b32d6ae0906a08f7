"""What a rate limit would answer to one more request, by the arithmetic of lua/validate_limited.lua."""

import math

from service.store.credentials import Charge


def forecast(limit: tuple[int, int, int], due: float, now: float) -> Charge:
    """The charge of one request at `now`, epoch seconds; `due` is when the limit is full again, epoch milliseconds."""
    requests, period_seconds, burst = limit
    interval, instant = period_seconds * 1000 / requests, now * 1000
    if due < instant or due > instant + burst * interval + 1:
        due = instant
    slack = (burst - 1) * interval - (due - instant)
    if slack < -0.5:
        return Charge(None, 0, 0, math.ceil(due - instant), math.ceil(-slack))
    remaining = int((slack / interval + 0.001) // 1)
    return Charge(None, 1, remaining, math.ceil(due + interval - instant), 0)
