"""Limits that all tokens of a subject share: set by administrators, and known to what decides."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from service.errors import NotFound
from service.model import Origin, Quota, RateLimit
from service.store.credentials import CredentialStore
from service.store.driver.many_tokens import all_of
from service.store.limits.subjects import Shared, SubjectStore
from service.tokens.audit.log import AuditLog
from service.tokens.limits.standings import forecast, quotas_of

_REMEMBERED = 65_536
# Before the name of a shared limit, where it is told beside those of a token. None of these has a colon.
_MARK = "subject:"


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
        """Subjects with limits in order, behind `after`."""
        found = await self.of(await self._store.page(after, size))
        return [Standing(name, quotas) for name, quotas in found.items()]

    async def of(self, subjects: Iterable[str]) -> dict[str, tuple[Quota, ...]]:
        """How the limits of those stand that have any. Two round trips for all, none for nobody."""
        names = sorted(set(subjects) - {""})
        found = zip(names, await all_of(list(map(self._store.get, names))), strict=True)
        limited = [self._standing(name, shared.limits) for name, shared in found if shared.limits]
        return dict(await all_of(limited))

    async def _standing(self, subject: str, limits: tuple[RateLimit, ...]) -> Standing:
        now = self._clock()
        dues = await self._credentials.shared_dues(subject, tuple(map(_marked, limits)), now)
        return Standing(subject, quotas_of(limits, forecast(limits, dues, now, 0)))


def _marked(limit: RateLimit) -> RateLimit:
    return msgspec.structs.replace(limit, name=_MARK + limit.name)
