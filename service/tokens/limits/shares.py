"""What each of several requests is told that were charged to the limits of their token together."""

import math

from service.model import RateLimit
from service.store.credentials import Charge


def shares_of(limits: tuple[RateLimit, ...], charge: Charge, count: int) -> list[Charge]:
    """Of so many that were admitted, what each would be told if they had come one after the other in one instant."""
    sealed, verdict, states = charge
    # A quota is full when its window ends, whatever is used of it.
    intervals = [0 if limit.calendar else limit.interval for limit in limits]
    shares = []
    for later in range(count - 1, -1, -1):
        told: list[int] = []
        for place, interval in enumerate(intervals):
            told += states[3 * place] + later, max(math.ceil(states[3 * place + 1] - later * interval), 0), 0
        shares.append(Charge(sealed, verdict, told))
    return shares


def refusal_of_one(limits: tuple[RateLimit, ...], charge: Charge, count: int) -> Charge | None:
    """Of so many that were refused together, the refusal of each; None where a single one may be admitted."""
    told: list[int] = []
    for place, limit in enumerate(limits):
        remaining, full_in, wait = charge.states[3 * place : 3 * place + 3]
        if wait:
            sooner = (count - 1) * limit.interval
            # The script rounds up: what is less than a millisecond over may be none.
            is_over = remaining == 0 if limit.calendar else wait - 1 >= sooner
            wait = (full_in if limit.calendar else math.ceil(wait - sooner)) if is_over else 0
        told += remaining, full_in, wait
    return Charge(charge.sealed, charge.verdict, told) if any(told[2::3]) else None
