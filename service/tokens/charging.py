"""Charging: takes a request's cost from a token's limits and uses, in one script with the lookup; and what is left."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from service.model import Outcome, Verdict
from service.store.credentials import ANOTHER_RECORD, ANOTHER_WINDOW, Charge, CredentialStore, Lookup
from service.store.driver.replies import OnReply, Reply, give_each
from service.store.limits.subjects import Shared
from service.tokens.credential import DecodedCredential
from service.tokens.limits import KnownSubjects, forecast, quotas_of, refusal_of_one, shares_of

_REMEMBERED = 16_384
# Verdicts with the state of the limits: refused, admitted, and admitted with a paused limit.
_COUNTED = (0, 1, 2)
USES_EXHAUSTED = Verdict(Outcome.USES_EXHAUSTED)


def _elsewhere(_: bytes, answer: OnReply) -> None:
    """Used as `submit` if one command cannot charge everything: it answers None, so that the caller uses `charge`."""
    # Later, as a link does, because the caller is not yet ready for an answer.
    asyncio.get_running_loop().call_soon(answer, None)


_ELSEWHERE = (b"", _elsewhere)


class Limited:
    """A record with limits. All requests of one turn of the event loop are charged by one script."""

    __slots__ = ("_alone", "_asked", "_command", "_prepare", "_submit", "decoded")

    def __init__(self, decoded: DecodedCredential, prepare: Callable[[int], Lookup]) -> None:
        """`prepare` packs the command that reads the record and charges this many requests."""
        self.decoded = decoded
        self._prepare = prepare
        self._command, self._submit = prepare(1)
        self._alone = decoded.terms.spends or bool(decoded.subject)
        self._asked: list[OnReply] = []

    def ask(self, answer: OnReply) -> None:
        """Read and charge. `answer` gets the `Charge` of its own request, however many are charged, or an error."""
        if self._alone:
            # Charged alone: it spends a use, or its command holds the subject's limits as known when it was made.
            self._charge([answer])
            return
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._charge_turn)
        self._asked.append(answer)

    def _charge_turn(self) -> None:
        asked, self._asked = self._asked, []
        self._charge(asked)

    def _charge(self, asked: list[OnReply]) -> None:
        command = self._command if len(asked) == 1 else self._prepare(len(asked))[0]
        self._submit(command, lambda reply: self._divide(asked, reply))

    def _divide(self, asked: list[OnReply], reply: Reply) -> None:
        """Splits a charge. Requests are admitted or refused together; if refused, as many as fit are charged again."""
        limits, count = self.decoded.limits, len(asked)
        charge = Charge.read(reply) if reply.__class__ is list else None
        if charge is None or count == 1 or charge.verdict not in _COUNTED:
            shares = [charge or reply] * count
        elif charge.verdict:
            shares = shares_of(limits, charge, count)
        elif (refusal := refusal_of_one(limits, charge, count)) is not None:
            shares = [refusal] * count
        else:
            # At least one is charged alone, so that this ends even if no limit reports room.
            room = max(1, min(charge.states[::3]))
            self._charge(asked[:room])
            self._charge(asked[room:])
            return
        give_each(zip(asked, shares, strict=True))


@dataclass(eq=False, repr=False)
class Charging:
    """Charges requests that were found allowed. Remembers on which records it saw a limit."""

    _store: CredentialStore
    _subjects: KnownSubjects
    _open: Callable[[bytes, bytes], DecodedCredential | None]
    # Called when a limit could not be charged.
    _on_paused: Callable[[], None]
    # Records on which a limit was seen: their lookup must also charge.
    limited: dict[bytes, Limited] = field(default_factory=dict, init=False)

    async def charge(
        self, remembered: DecodedCredential, verdict: Verdict, cost: int, now: float
    ) -> tuple[Verdict | None, DecodedCredential | None]:
        """Read and charge in one script. `verdict` is the verdict on the record last seen.

        Returns the record as it is now, if there is one. No verdict means that another record was found and nothing was
        charged. One round trip, two at the end of a quota's window; one more if the limits of its subject are in
        another shard or not known. Raises StoreUnavailable.
        """
        digest = remembered.digest
        if remembered.shared is None:
            await self.learn(remembered)
        asked, terms, pool, record = cost, remembered.terms, None, (remembered.shared or Shared()).record
        if self._store.lie_apart(digest, terms):
            # The shared limits first: spent uses cannot be given back, while limits refill with time in any case.
            pool = await self._in_window(lambda at: self._store.charge_shared(terms, record, cost, at), now)
            if pool.verdict == ANOTHER_RECORD:
                self._subjects.forget(remembered.subject)
                remembered.share(None)
                return None, remembered
            if pool.verdict == 0:
                # Nothing is charged to the token, but its record, limits and uses are read as they stand.
                cost = 0
        charge = await self._in_window(lambda at: self._store.charge(digest, terms, cost, at), now)
        if pool is not None and pool.verdict and charge.verdict not in (1, 2):
            back = await self._store.charge_shared(terms, record, -cost, now)
            pool = back if back.verdict in (1, 2) else pool
        decoded = None if charge.sealed is None else self._open(digest, charge.sealed)
        if decoded is None:
            self.limited.pop(digest, None)
            return None, None
        if charge.verdict == ANOTHER_RECORD:
            return None, decoded
        self._remember(decoded, now)
        return self._verdict(remembered, verdict, _together(charge, pool), asked), remembered

    async def learn(self, decoded: DecodedCredential) -> None:
        """Learn the shared limits of its subject. No round trip if they are known."""
        decoded.share(await self._subjects.of(decoded.subject))

    async def _in_window(self, charge: Callable[[float], Awaitable[Charge]], now: float) -> Charge:
        """Charge in the window of `now`; if that has ended, in the window of Redis' own time."""
        done = await charge(now)
        while done.verdict == ANOTHER_WINDOW:
            (now,) = done.states
            done = await charge(now)
        return done

    def charged(
        self, remembered: DecodedCredential, verdict: Verdict, charge: Charge, now: float
    ) -> tuple[Verdict, DecodedCredential] | None:
        """The meaning of a charge from `Limited.ask`, where `verdict` is the verdict on the record at `now`.

        None if nothing was charged: the record is gone, another one has replaced it, or a new window of a quota has
        begun.
        """
        if charge.verdict == ANOTHER_WINDOW:
            # Its command belongs to the window that has ended; the next request packs a new one.
            self.limited.pop(remembered.digest, None)
            return None
        if charge.sealed is None or charge.verdict == ANOTHER_RECORD:
            return None
        decoded = self._open(remembered.digest, charge.sealed)
        if decoded is None:
            return None
        if decoded is not remembered or decoded.shared is None:
            self._remember(decoded, now)
        return self._verdict(remembered, verdict, charge), remembered

    def _verdict(self, decoded: DecodedCredential, verdict: Verdict, charge: Charge, cost: int = 1) -> Verdict:
        """The verdict after the charge, by the limits that were charged, which may differ from the earlier ones."""
        if charge.verdict == -1:
            return USES_EXHAUSTED
        if charge.verdict == 2:
            self._on_paused()
        limits = decoded.limits
        if not limits:
            return verdict
        outcome = Outcome.RATE_LIMITED if charge.verdict == 0 else Outcome.ACTIVE
        return Verdict(outcome, decoded.credential, (), quotas_of(limits, charge, cost))

    def _remember(self, decoded: DecodedCredential, now: float) -> None:
        """`decoded` was read just now, so that what is kept is not older than any change reported for its subject."""
        digest = decoded.digest
        if decoded.shared is None:
            decoded.share(self._subjects.known(decoded.subject))
        if decoded.shared is None or not decoded.limited:
            self.limited.pop(digest, None)
            return
        remembered = self.limited.get(digest)
        if remembered is None and len(self.limited) >= _REMEMBERED:
            # Evicts the record that was added first: a dict keeps its order.
            self.limited.pop(next(iter(self.limited)))
        if remembered is None or remembered.decoded is not decoded:
            apart = self._store.lie_apart(digest, decoded.terms)
            prepare = partial(self._store.prepare_charge, digest, decoded.terms, now)
            self.limited[digest] = Limited(decoded, (lambda _: _ELSEWHERE) if apart else prepare)

    async def forecast(
        self, verdict: Verdict, decoded: DecodedCredential, now: float, cost: int = 1
    ) -> tuple[Verdict, int]:
        """The verdict that limits would give one more request at this time, and the uses left. Charges nothing.

        One round trip for a token with limits, none for any other.
        """
        if decoded.shared is None:
            await self.learn(decoded)
        if not decoded.limited:
            return verdict, 0
        credential, (charged, _, own, _, subject, shared) = decoded.credential, decoded.terms
        store, limits = self._store, decoded.limits
        left, dues, shared_dues = await asyncio.gather(
            store.uses_left(charged), store.dues(charged, own, now), store.shared_dues(subject, shared, now)
        )
        dues += shared_dues
        if not verdict.active:
            return verdict, left
        if credential.max_uses and left <= 0:
            return Verdict(Outcome.USES_EXHAUSTED, credential), left
        if not limits:
            return verdict, left
        charge = forecast(limits, dues, now, cost)
        outcome = Outcome.ACTIVE if charge.verdict else Outcome.RATE_LIMITED
        return Verdict(outcome, credential, (), quotas_of(limits, charge, cost)), left


def _together(own: Charge, pool: Charge | None) -> Charge:
    """One charge from both: refused if either was, paused if either is."""
    if pool is None or own.verdict == -1:
        return own
    verdict = 0 if 0 in (own.verdict, pool.verdict) else max(own.verdict, pool.verdict)
    return Charge(own.sealed, verdict, own.states + pool.states)
