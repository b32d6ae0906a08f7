"""Charging: what a request takes of a token's limits and uses, in one script with the lookup, and what that leaves."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from service.model import Outcome, Verdict
from service.store.credentials import ANOTHER_RECORD, ANOTHER_WINDOW, Charge, CredentialStore
from service.store.driver.replies import Reply
from service.tokens.credential import DecodedCredential
from service.tokens.limits.standings import forecast, quotas_of

_REMEMBERED = 16_384
USES_EXHAUSTED = Verdict(Outcome.USES_EXHAUSTED)


class Limited(NamedTuple):
    """A record on which a limit was seen, with the packed command that reads and charges it, and who takes that."""

    decoded: DecodedCredential
    command: bytes
    submit: Callable[..., None]


class Charging:
    """Charges requests that were found allowed. Remembers on which records it saw a limit."""

    def __init__(
        self,
        store: CredentialStore,
        open_record: Callable[[bytes, bytes], DecodedCredential | None],
        on_paused: Callable[[], None],
    ) -> None:
        """`on_paused` is called when a limit could not be kept."""
        self._store = store
        self._open = open_record
        self._on_paused = on_paused
        # Records on which a limit was seen: their lookup must be the one that counts.
        self.limited: dict[bytes, Limited] = {}

    async def charge(
        self, remembered: DecodedCredential, verdict: Verdict, cost: int, now: float
    ) -> tuple[Verdict | None, DecodedCredential | None]:
        """Read and charge in one script where `verdict` was evaluated of the record last seen.

        The record as it is now, if there is one; without a verdict it is another one, and nothing was charged. One
        round trip, two in the moment when a quota's window ends. Raises StoreUnavailable.
        """
        digest = remembered.digest
        charge = await self._store.charge(digest, remembered.terms, cost, now)
        while charge.verdict == ANOTHER_WINDOW:
            # What is remembered names the window, too.
            self.limited.pop(digest, None)
            (now,) = charge.states
            charge = await self._store.charge(digest, remembered.terms, cost, now)
        decoded = None if charge.sealed is None else self._open(digest, charge.sealed)
        if decoded is None:
            self.limited.pop(digest, None)
            return None, None
        if charge.verdict == ANOTHER_RECORD:
            return None, decoded
        return self._verdict(decoded, verdict, charge, now), decoded

    def charged(
        self, remembered: DecodedCredential, verdict: Verdict, reply: list[Reply], now: float
    ) -> tuple[Verdict, DecodedCredential] | None:
        """What the reply to a `Limited.command` means where `verdict` was evaluated of the record at `now`.

        None if nothing was charged: the record has gone, another one has taken its place, or the window of a quota is
        another one.
        """
        charge = Charge.read(reply)
        if charge.sealed is None or charge.verdict in (ANOTHER_RECORD, ANOTHER_WINDOW):
            return None
        decoded = self._open(remembered.digest, charge.sealed)
        return None if decoded is None else (self._verdict(decoded, verdict, charge, now), decoded)

    def _verdict(self, decoded: DecodedCredential, verdict: Verdict, charge: Charge, now: float) -> Verdict:
        self._remember(decoded, now)
        if charge.verdict == -1:
            return USES_EXHAUSTED
        if charge.verdict == 2:
            self._on_paused()
        limits = decoded.credential.rate_limits
        if not limits:
            return verdict
        outcome = Outcome.RATE_LIMITED if charge.verdict == 0 else Outcome.ACTIVE
        return Verdict(outcome, decoded.credential, (), quotas_of(limits, charge))

    def _remember(self, decoded: DecodedCredential, now: float) -> None:
        digest = decoded.digest
        if not decoded.limited:
            self.limited.pop(digest, None)
            return
        remembered = self.limited.get(digest)
        if remembered is None and len(self.limited) >= _REMEMBERED:
            self.limited.pop(next(iter(self.limited)))
        if remembered is None or remembered.decoded is not decoded:
            self.limited[digest] = Limited(decoded, *self._store.prepare_charge(digest, decoded.terms, now))

    async def forecast(
        self, verdict: Verdict, decoded: DecodedCredential, now: float, cost: int = 1
    ) -> tuple[Verdict, int]:
        """What limits would make of the verdict on one more request at this time, and the uses left; charges nothing.

        One round trip for a limited token, none for another.
        """
        if not decoded.limited:
            return verdict, 0
        credential = decoded.credential
        limits, charged = credential.rate_limits, decoded.terms.token_id
        left, dues = await asyncio.gather(self._store.uses_left(charged), self._store.dues(charged, limits, now))
        if not verdict.active:
            return verdict, left
        if credential.max_uses and left <= 0:
            return USES_EXHAUSTED, left
        if not limits:
            return verdict, left
        charge = forecast(limits, dues, now, cost)
        outcome = Outcome.ACTIVE if charge.verdict else Outcome.RATE_LIMITED
        return Verdict(outcome, credential, (), quotas_of(limits, charge)), left
