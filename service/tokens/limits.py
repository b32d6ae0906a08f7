"""Rate limits (GCRA) and quotas: their state, by the arithmetic of lua/validate_limited.lua; limits of a subject.

`charging.py` charges requests to them.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from service.errors import NotFound, wrong
from service.model import DEFAULT_LIMIT, ManagedToken, Origin, Quota, RateLimit
from service.store.credentials import Charge, CredentialStore
from service.store.driver.many_tokens import all_of
from service.store.limits.subjects import Shared, SubjectStore
from service.store.limits.windows import window_of
from service.tokens.audit.log import AuditLog

MOST_LIMITS = 4
RATE, QUOTA = "rateLimit", "quota"
# The API's members for a single limit, a rate or a quota, and the name of that limit.
CALLED = {RATE: DEFAULT_LIMIT, QUOTA: "quota"}
# How far this clock may be behind the clock of Redis, which the script uses.
_CLOCKS_APART_MILLISECONDS = 1000
_REMEMBERED = 65_536
# Precedes the name of a shared limit in a list with a token's own limits, whose names have no colon.
_MARK = "subject:"


def member_of(limit: RateLimit) -> str:
    """The member for this limit alone; empty for others, also for one of that name but the other kind."""
    member = RATE if limit.calendar is None else QUOTA
    return member if limit.name == CALLED[member] else ""


def with_alone(limits: tuple[RateLimit, ...], given: dict[str, RateLimit | None]) -> tuple[RateLimit, ...]:
    """The limits with those of the given members replaced; None removes. Raises InvalidRequest for too many, and for a
    name that a limit of the other kind has, which would disappear silently.
    """
    others = {limit.name for limit in limits if not member_of(limit)}
    for member, limit in given.items():
        if limit and limit.name in others:
            raise wrong(member, f"another kind of limit of this token is called {limit.name}: give all as limits")
    named = {limit.name: limit for limit in limits if given.get(member_of(limit), limit)}
    named |= {limit.name: limit for limit in given.values() if limit}
    if len(named) > MOST_LIMITS:
        raise wrong(next(iter(given)), f"the token would have more than {MOST_LIMITS} limits: give all as limits")
    return tuple(named.values())


def forecast(limits: tuple[RateLimit, ...], dues: list[float], now: float, cost: int = 1) -> Charge:
    """The charge of a request at `now`, in epoch seconds; `dues` as `CredentialStore.dues` reads them at that time.

    With a cost of 0 it shows the present state.
    """
    debts = [_debt(limit, due, now) for limit, due in zip(limits, dues, strict=True)]
    # Half a millisecond is tolerated, as in the script.
    overs = [debt - (limit.at_once - cost) * limit.interval - 0.5 for limit, debt in zip(limits, debts, strict=True)]
    admitted = all(over <= 0 for over in overs)
    states: list[int] = []
    for limit, debt, over in zip(limits, debts, overs, strict=True):
        owed = debt + cost * limit.interval if admitted else debt
        full, wait = owed, max(over, 0)
        if limit.calendar is not None:
            full = (window_of(limit.calendar, now)[1] - now) * 1000
            wait = full if over > 0 else 0
        # As in the script: a division that should be exact may result in slightly less.
        remaining = int(limit.at_once - owed / limit.interval + 0.001)
        states += (max(min(remaining, cost - 1) if wait else remaining, 0), math.ceil(full), math.ceil(wait))
    return Charge(None, int(admitted), states)


def _debt(limit: RateLimit, due: float, now: float) -> float:
    if limit.calendar is not None:
        return max(due, 0)
    debt = due - now * 1000
    # A later due time was counted under another limit, or written by somebody else.
    return debt if 0 <= debt <= limit.at_once * limit.interval + _CLOCKS_APART_MILLISECONDS else 0


def quotas_of(limits: tuple[RateLimit, ...], charge: Charge, cost: int = 1) -> tuple[Quota, ...]:
    """What a charge of `cost` left of each limit, in whole seconds as in the header fields."""
    quotas, states, place = [], charge.states, 0
    never = cost > 1 and any(cost > limit.at_once for limit in limits)
    for limit in limits:
        full_in, next_in = states[place + 1], states[place + 2]
        # Rounded up, so that a client that retries at the announced second is not refused again.
        quotas.append(Quota(limit, states[place], -(-full_in // 1000), 0 if never else -(-next_in // 1000)))
        place += 3
    return tuple(quotas)


class Standings:
    """Reads how much of the limits of tokens is left; charges nothing."""

    def __init__(self, store: CredentialStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def of(self, tokens: Iterable[ManagedToken]) -> dict[str, tuple[Quota, ...]]:
        """The limits of those tokens that have any, by id; one round trip for all, none if no token has a limit."""
        limited = [token for token in tokens if token.rate_limits]
        if not limited:
            return {}
        now, read = self._clock(), self._store.dues
        found = await all_of([read(token.charged, token.rate_limits, now) for token in limited])
        return {
            token.token_id: quotas_of(token.rate_limits, forecast(token.rate_limits, dues, now, 0))
            for token, dues in zip(limited, found, strict=True)
        }


def shares_of(limits: tuple[RateLimit, ...], charge: Charge, count: int) -> list[Charge]:
    """The charges of `count` requests admitted together, as if they had come one after the other."""
    sealed, verdict, states = charge
    # A quota is full again when its window ends, however much of it is used.
    intervals = [0 if limit.calendar else limit.interval for limit in limits]
    shares = []
    for later in range(count - 1, -1, -1):
        told: list[int] = []
        for place, interval in enumerate(intervals):
            told += states[3 * place] + later, max(math.ceil(states[3 * place + 1] - later * interval), 0), 0
        shares.append(Charge(sealed, verdict, told))
    return shares


def refusal_of_one(limits: tuple[RateLimit, ...], charge: Charge, count: int) -> Charge | None:
    """The refusal of each of `count` requests refused together; None if a single one might be admitted."""
    told: list[int] = []
    for place, limit in enumerate(limits):
        remaining, full_in, wait = charge.states[3 * place : 3 * place + 3]
        if wait:
            sooner = (count - 1) * limit.interval
            # The script rounds up, so less than a millisecond may mean none.
            is_over = remaining == 0 if limit.calendar else wait - 1 >= sooner
            wait = (full_in if limit.calendar else math.ceil(wait - sooner)) if is_over else 0
        told += remaining, full_in, wait
    return Charge(charge.sealed, charge.verdict, told) if any(told[2::3]) else None


class KnownSubjects:
    """A cache of subjects' shared limits. A changed limit is removed before any decision could use it."""

    def __init__(self, store: SubjectStore) -> None:
        self._store = store
        self._known: dict[str, Shared] = {}
        self._forgotten = 0

    async def of(self, subject: str) -> Shared:
        """The shared limits of a subject, under public names. No round trip if cached. Raises StoreUnavailable."""
        while (found := self._known.get(subject)) is None:
            forgotten = self._forgotten
            limits, record = await self._store.get(subject)
            # Otherwise a change was reported after it was read.
            if forgotten == self._forgotten:
                if len(self._known) >= _REMEMBERED:
                    # Evicts the one that was added first: a dict keeps its order.
                    self._known.pop(next(iter(self._known)))
                self._known[subject] = Shared(tuple(map(_marked, limits)), record)
        return found

    def known(self, subject: str) -> Shared | None:
        """The shared limits of a subject if they are cached, else None."""
        return self._known.get(subject)

    def forget(self, subject: str | None) -> None:
        """Remove the limits of one subject from the cache, or of all for None."""
        self._forgotten += 1
        if subject is None:
            self._known.clear()
        else:
            self._known.pop(subject, None)


class Standing(NamedTuple):
    """A subject's limits and what is left of them."""

    subject: str
    quotas: tuple[Quota, ...]


class SubjectLimits:
    """Sets, shows and removes the shared limits of subjects."""

    def __init__(
        self, store: SubjectStore, credentials: CredentialStore, audit_log: AuditLog, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._audit_log = audit_log
        self._clock = clock

    async def set(self, subject: str, limits: tuple[RateLimit, ...], origin: Origin) -> Standing:
        """Replace a subject's limits; every token of it charges them from now on."""
        before = (await self._store.get(subject)).limits
        entry = self._audit_log.entry(
            "subject.limited", origin, subject, before={"rate_limits": before}, after={"rate_limits": limits}
        )
        await self._store.put(subject, limits, entry)
        return await self._standing(subject, limits)

    async def remove(self, subject: str, origin: Origin) -> None:
        """Remove a subject's limits. Raises NotFound if it has none."""
        before = (await self._store.get(subject)).limits
        entry = self._audit_log.entry("subject.unlimited", origin, subject, before={"rate_limits": before})
        if not await self._store.put(subject, (), entry):
            raise NotFound("This subject has no limits of its own.")

    async def show(self, subject: str) -> Standing:
        """The state of a subject's limits. Raises NotFound if it has none."""
        limits = (await self._store.get(subject)).limits
        if not limits:
            raise NotFound("This subject has no limits of its own.")
        return await self._standing(subject, limits)

    async def page(self, after: str, size: int) -> list[Standing]:
        """Subjects with limits, sorted, after `after`; fewer than `size` only at the end."""
        found: list[Standing] = []
        # A listed subject may have no limits: they were removed since, or the list was changed by somebody else.
        while len(found) < size and (names := await self._store.page(after, size)):
            found += [Standing(name, quotas) for name, quotas in (await self.of(names)).items()]
            after = names[-1]
        return found[:size]

    async def of(self, subjects: Iterable[str]) -> dict[str, tuple[Quota, ...]]:
        """The state of the limits of those subjects that have any. Two round trips for all, none without subjects."""
        names = sorted(set(subjects) - {""})
        if not names:
            return {}
        found = zip(names, await all_of(list(map(self._store.get, names))), strict=True)
        limited = [self._standing(name, shared.limits) for name, shared in found if shared.limits]
        return dict(await all_of(limited))

    async def _standing(self, subject: str, limits: tuple[RateLimit, ...]) -> Standing:
        now = self._clock()
        dues = await self._credentials.shared_dues(subject, tuple(map(_marked, limits)), now)
        return Standing(subject, quotas_of(limits, forecast(limits, dues, now, 0)))


def _marked(limit: RateLimit) -> RateLimit:
    return msgspec.structs.replace(limit, name=_MARK + limit.name)
