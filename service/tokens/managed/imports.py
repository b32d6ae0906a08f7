"""Import: takes tokens in, each whole or not at all, and learns by which rules other systems' secrets are stored."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from service.errors import StoreUnavailable
from service.model import STATUS_ACTIVE, ManagedToken, Origin
from service.store.managed.imports import ImportStore, Incoming, Refused
from service.store.managed.records import Record
from service.store.pacing import paced_list, patiently, share_turn
from service.tokens.audit.log import AuditLog, facts
from service.tokens.imported.rules import ImportedSecrets
from service.tokens.managed.import_admission import Exported, ImportAdmission, ImportedSecret, Skipped
from service.tokens.managed.name_holders import NameHolders
from service.tokens.managed.seals import Seals
from service.tokens.secret import mint_id

# Rows imported at once: 0.25 ms of Redis' time, 0.5 ms beside a million tokens, and 0.5 ms of the event loop, between
# which other tasks have turns.
SLICE = 8
# The longest name that the API takes, which is declared in a layer above and cannot be imported.
LONGEST_NAME = 80
_SAID = {
    Refused.EXISTS: "This token is here already.",
    Refused.SECRET_TAKEN: "This secret belongs to a token that is or was here. Change that one, or create another.",
    Refused.NAME_TAKEN: "An earlier row or a token has this name.",
}


class DryRun:
    """The names and secrets that earlier rows of a dry run would have taken."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._names: set[str] = set()
        self._digests: set[bytes] = set()

    def conflict(self, token: ManagedToken) -> Refused | None:
        """Why this row would be refused after the earlier ones; None if not, and then it is one of them."""
        if token.token_id in self._ids:
            return Refused.EXISTS
        if token.digest in self._digests:
            return Refused.SECRET_TAKEN
        if not token.revoked_at and token.name in self._names:
            return Refused.NAME_TAKEN
        self._ids.add(token.token_id)
        self._digests.add(token.digest)
        if not token.revoked_at:
            self._names.add(token.name)
        return None


@dataclass(eq=False, repr=False)
class Imports:
    _store: ImportStore
    _admission: ImportAdmission
    _seals: Seals
    _imported: ImportedSecrets
    _audit_log: AuditLog
    _name_holders: NameHolders
    _clock: Callable[[], float]
    _asked: bool = field(default=False, init=False)

    async def take(
        self,
        rows: list[Exported | ImportedSecret],
        origin: Origin,
        dry_run: DryRun | None = None,
        *,
        number_names: bool = False,
    ) -> list[Skipped | None]:
        """Take in a slice of at most SLICE rows. Returns for each None, or why it was skipped.

        With a `dry_run` nothing is written. With `number_names` an imported secret whose name is taken gets another
        name. A row is taken in whole or not at all. Raises StoreUnavailable if Redis stays away; the rows may then be
        sent again, and those already taken in are skipped.
        """
        tokens = self._admission.tokens_of(rows, origin)
        taken = [self._admission.refusal(row, token, origin) for row, token in zip(rows, tokens, strict=True)]
        await self._refuse_own(rows, taken)
        admitted = [place for place, refused in enumerate(taken) if refused is None]
        await share_turn()
        if dry_run is None:
            incoming = await paced_list(self._incoming(tokens[one], origin, rows[one]) for one in admitted)
            minted_here = [isinstance(rows[place], ImportedSecret) for place in admitted]
            found = await self._put(incoming, minted_here)
            # Added again, because a read of the rules before the write drops what `admit` added.
            self._imported.add({one.token.imported for one in incoming} - {""})
        else:
            conflicts = await asyncio.gather(*[self._store.conflict(tokens[place]) for place in admitted])
            found = [
                conflict or dry_run.conflict(tokens[place]) for place, conflict in zip(admitted, conflicts, strict=True)
            ]
        for place, met in zip(admitted, found, strict=True):
            is_numbered = number_names and met is Refused.NAME_TAKEN and isinstance(rows[place], ImportedSecret)
            why = await self._put_numbered(tokens[place], origin, dry_run) if is_numbered else met
            taken[place] = Skipped(why.value, await self._said(why, tokens[place].name, origin)) if why else None
        return taken

    async def _refuse_own(self, rows: list[Exported | ImportedSecret], taken: list[Skipped | None]) -> None:
        """Refuse secrets of tokens that are or were here: by a second token they would outlive the first.

        Those taken in under the present server key are found by the write itself.
        """
        asked = [
            (place, digest)
            for place, row in enumerate(rows)
            if taken[place] is None
            for digest in self._admission.own_digests(row)
        ]
        if not asked:
            return
        known = await patiently(lambda: asyncio.gather(*[self._store.is_known(digest) for _, digest in asked]))
        for (place, _), is_known in zip(asked, known, strict=True):
            if is_known:
                taken[place] = Skipped(Refused.SECRET_TAKEN.value, _SAID[Refused.SECRET_TAKEN])

    async def _said(self, why: Refused, name: str, origin: Origin) -> str:
        told = await self._name_holders.told(name, origin) if why is Refused.NAME_TAKEN else ""
        return f"{told}, or have a number put behind this one." if told else _SAID[why]

    async def _put(self, incoming: list[Incoming], minted_here: list[bool]) -> list[Refused | None]:
        """Write tokens. Among thousands of rows some may meet a busy Redis, so a write is tried again."""
        now, tries = int(self._clock()), 0

        def put() -> Awaitable[list[Refused | None]]:
            nonlocal tries
            tries += 1
            return self._store.put(incoming, now)

        found = await patiently(put)
        # An id minted here can be known only if an earlier try succeeded and its answer was lost.
        return [
            None if tries > 1 and is_minted and why is Refused.EXISTS else why
            for why, is_minted in zip(found, minted_here, strict=True)
        ]

    async def _put_numbered(self, token: ManagedToken, origin: Origin, dry_run: DryRun | None) -> Refused | None:
        """Write a token under its name with a free number; in a dry run there always is one."""
        while dry_run is None:
            # A new id, because the name may be reserved for a minute under the id of the last try.
            token = msgspec.structs.replace(token, token_id=mint_id(int(token.token_id[:2], 16)))
            # A name in another shard is checked before the secret: an existing token needs no other name.
            known = await self._store.conflict(token)
            if known not in (None, Refused.NAME_TAKEN):
                return known
            numbered = await self._numbered(token)
            (why,) = await self._put([self._incoming(numbered, origin)], [True])
            if why is not Refused.NAME_TAKEN:
                return why
        return None

    async def _numbered(self, token: ManagedToken) -> ManagedToken:
        """The token under a free name. Numbers double, then are halved to a low one: 27 lookups among 10,000."""
        taken, free = 1, 2
        while await self._is_taken(_with_number(token, free)):
            taken, free = free, free * 2
        while free - taken > 1:
            middle = (taken + free) // 2
            taken, free = (middle, free) if await self._is_taken(_with_number(token, middle)) else (taken, middle)
        return _with_number(token, free)

    async def _is_taken(self, token: ManagedToken) -> bool:
        return await self._store.conflict(token) is Refused.NAME_TAKEN

    def _incoming(self, token: ManagedToken, origin: Origin, row: Exported | ImportedSecret | None = None) -> Incoming:
        now = self._clock()
        credential = predecessor = b""
        if token.status(now) is STATUS_ACTIVE:
            credential = self._seals.credential(token, token.digest, token.expires_at)
            if token.predecessor and token.predecessor_until > now:
                predecessor = self._seals.credential(token, token.predecessor, token.predecessor_until)
        # By the present key, because that also seals the credentials.
        seal = (
            self._seals.again(Record(row.token, row.seal), token)
            if isinstance(row, Exported)
            else self._seals.of(token)
        )
        entry = self._audit_log.entry("token.imported", origin, token.token_id, after=facts(token))
        return Incoming(token, seal, credential, predecessor, entry)

    async def detect_imported(self) -> None:
        """Learn by which rules imported secrets are to be found; runs every second.

        Until then no secret is refused as unknown. Raises StoreUnavailable.
        """
        before = self._imported.rules
        try:
            rules = await self._store.imported_rules()
        except StoreUnavailable:
            self._imported.unread = not self._asked
            raise
        self._imported.learn(rules, before)
        self._asked = True


def _with_number(token: ManagedToken, number: int) -> ManagedToken:
    # A name of full length loses its end to the number.
    return msgspec.structs.replace(token, name=f"{token.name[: LONGEST_NAME - 1 - len(str(number))]} {number}")
