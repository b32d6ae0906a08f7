"""Rate limits (GCRA) and quotas: how they stand, by the arithmetic of lua/validate_limited.lua; those of a subject.

What a request takes of them is charged in `charging.py`.
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
# The members of the API that hold one limit alone, a rate or a quota, and what that one is called.
CALLED = {RATE: DEFAULT_LIMIT, QUOTA: "quota"}
# How far the clock here may lag behind that of Redis, by which the script goes.
_CLOCKS_APART_MILLISECONDS = 1000
_REMEMBERED = 65_536
# Put before the name of a shared limit where it is listed with a token's own limits, whose names have no colon.
_MARK = "subject:"


def member_of(limit: RateLimit) -> str:
    """The member that holds it alone; empty for the others, among them one of that name and of the other kind."""
    member = RATE if limit.calendar is None else QUOTA
    return member if limit.name == CALLED[member] else ""


def with_alone(limits: tuple[RateLimit, ...], given: dict[str, RateLimit | None]) -> tuple[RateLimit, ...]:
    """These limits with others for those members; None takes away. Raises InvalidRequest where they are too many, and
    for one whose name another kind of limit has, which would be gone without a word.
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
    never = cost > 1 and any(cost > limit.at_once for limit in limits)
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

    async def of(self, tokens: Iterable[ManagedToken]) -> dict[str, tuple[Quota, ...]]:
        """The limits of those tokens that have any, by id; one round trip for all, none where no token has any."""
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
    """The charges of `count` requests that were admitted together, as if they had come one after the other."""
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
    """The refusal of each of `count` requests that were refused together; None where one alone may be admitted."""
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


class KnownSubjects:
    """What is known of the shared limits of subjects. What changed is forgotten before anything is decided by it."""

    def __init__(self, store: SubjectStore) -> None:
        self._store = store
        self._known: dict[str, Shared] = {}
        self._forgotten = 0

    async def of(self, subject: str) -> Shared:
        """Its limits, named as they are told. No round trip while they are known. Raises StoreUnavailable."""
        while (found := self._known.get(subject)) is None:
            forgotten = self._forgotten
            limits, record = await self._store.get(subject)
            # Else it was read before a change that has been heard of since.
            if forgotten == self._forgotten:
                if len(self._known) >= _REMEMBERED:
                    # The one that was read first: a dictionary keeps its order.
                    self._known.pop(next(iter(self._known)))
                self._known[subject] = Shared(tuple(map(_marked, limits)), record)
        return found

    def known(self, subject: str) -> Shared | None:
        """The same, as far as they are known."""
        return self._known.get(subject)

    def forget(self, subject: str | None) -> None:
        """Those of one, or of all."""
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
    """Sets, shows and removes shared limits."""

    def __init__(
        self, store: SubjectStore, credentials: CredentialStore, audit_log: AuditLog, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._audit_log = audit_log
        self._clock = clock

    async def set(self, subject: str, limits: tuple[RateLimit, ...], origin: Origin) -> Standing:
        """Give a subject these limits in place of any it has; every token of it draws on them from now on."""
        before = (await self._store.get(subject)).limits
        entry = self._audit_log.entry(
            "subject.limited", origin, subject, before={"rate_limits": before}, after={"rate_limits": limits}
        )
        await self._store.put(subject, limits, entry)
        return await self._standing(subject, limits)

    async def remove(self, subject: str, origin: Origin) -> None:
        """Take them away. Raises NotFound where there are none."""
        before = (await self._store.get(subject)).limits
        entry = self._audit_log.entry("subject.unlimited", origin, subject, before={"rate_limits": before})
        if not await self._store.put(subject, (), entry):
            raise NotFound("This subject has no limits of its own.")

    async def show(self, subject: str) -> Standing:
        """How they stand. Raises NotFound where there are none."""
        limits = (await self._store.get(subject)).limits
        if not limits:
            raise NotFound("This subject has no limits of its own.")
        return await self._standing(subject, limits)

    async def page(self, after: str, size: int) -> list[Standing]:
        """Subjects with limits in order, behind `after`; fewer than `size` at the end alone."""
        found: list[Standing] = []
        # Some that are listed may have none: they were taken away since, or by somebody else.
        while len(found) < size and (names := await self._store.page(after, size)):
            found += [Standing(name, quotas) for name, quotas in (await self.of(names)).items()]
            after = names[-1]
        return found[:size]

    async def of(self, subjects: Iterable[str]) -> dict[str, tuple[Quota, ...]]:
        """How the limits of those stand that have any. Two round trips for all, none for nobody."""
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
