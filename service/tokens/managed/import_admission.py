"""Which tokens may come in from elsewhere, and in what form.

An export has digests, never secrets, so its tokens work only in a service with the same server key. An import has such
records, exactly as exported, or secrets of other systems, in clear or as digests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from service.errors import Forbidden, InvalidRequest
from service.model import Kind, ManagedToken, Origin, Status
from service.store.driver.keys import shard_of_digest
from service.store.driver.shards import Shards
from service.store.managed import records
from service.store.managed.records import Record
from service.tokens.authority import Authority
from service.tokens.imported.rules import WHOLE, Rule
from service.tokens.lifetime import Lifetime
from service.tokens.managed.seals import Seals
from service.tokens.managed.tokens import NewToken
from service.tokens.rights import check_creator, check_held, check_life
from service.tokens.secret import mint_ids, parse


class Exported(msgspec.Struct, frozen=True):
    """A record from an export, with its seal."""

    token: ManagedToken
    seal: str


class ImportedSecret(msgspec.Struct, frozen=True):
    """A token of another system: its terms, its secret's digest and rule, and the characters that may be shown.

    Instants in epoch seconds, 0 if unknown. `shortened`: it had no end there, and has one here. `secret` is empty if
    only a digest came.
    """

    new: NewToken
    kept: bytes
    rule: Rule = WHOLE
    last_eight: str = ""
    created_by: str = ""
    active: bool = True
    created_at: int = 0
    last_used_at: int = 0
    shortened: bool = False
    secret: bytes = b""


class Skipped(msgspec.Struct, frozen=True):
    """Why a row was not imported: a stable word, and a sentence for people."""

    code: str
    message: str


@dataclass(eq=False, repr=False)
class ImportAdmission:
    """Checks the rows of an import against the server key, the shards, the policy and the caller's own rights."""

    _authority: Authority
    _shards: Shards
    _seals: Seals
    _lifetime: Lifetime
    _clock: Callable[[], float]

    def tokens_of(self, rows: Sequence[Exported | ImportedSecret], origin: Origin) -> list[ManagedToken]:
        """The tokens that the rows would become; an imported secret gets a new token."""
        others = [row for row in rows if isinstance(row, ImportedSecret)]
        digests = [self._authority.imported.digest(row.rule, row.kept) for row in others]
        # The digest decides which shard the token lives in, because a lookup knows nothing else.
        token_ids = mint_ids([shard_of_digest(digest, len(self._shards)) for digest in digests])
        made = map(partial(self._token, origin), others, token_ids, digests)
        return [self._settled(row.token) if isinstance(row, Exported) else next(made) for row in rows]

    def _settled(self, token: ManagedToken) -> ManagedToken:
        """The token in the shard of its digest, which its id begins with: a cluster has more shards than one Redis.

        An old secret in its overlap is dropped if it belongs to another shard, because a script reaches one shard.
        """
        shard = self._shards.of_digest(token.digest)
        if self._shards.of_id(token.token_id) is not shard:
            token = msgspec.structs.replace(token, token_id=f"{shard.index:02x}{token.token_id[2:]}")
        if token.predecessor and self._shards.of_digest(token.predecessor) is not shard:
            token = msgspec.structs.replace(token, predecessor=b"", predecessor_until=0)
        return token

    def _token(self, origin: Origin, row: ImportedSecret, token_id: str, digest: bytes) -> ManagedToken:
        begun, created = self._lifetime.begin(), row.created_at * 1_000_000
        return row.new.made(
            token_id,
            row.last_eight,
            digest,
            row.created_by or origin.actor,
            # Microseconds keep tokens of one second apart. The first days of 1970 mean that no instant is known.
            created + begun % 1_000_000 if created > records.LAST_SECOND else begun,
            active=row.active,
            last_used_at=row.last_used_at,
            imported=str(row.rule),
        )

    @property
    def is_in_one_shard(self) -> bool:
        """True if all tokens belong to one shard."""
        return len(self._shards) == 1

    def home(self, row: Exported | ImportedSecret) -> int:
        """The shard that a row's token belongs to: rows of one shard need fewer calls."""
        if isinstance(row, Exported):
            return self._shards.of_digest(row.token.digest).index
        return self._shards.of_digest(self._authority.imported.digest(row.rule, row.kept)).index

    def own_digests(self, row: Exported | ImportedSecret) -> list[bytes]:
        """Digests under which the secret of a row may exist already: made by this service itself, or imported under the
        previous server key.
        """
        if isinstance(row, Exported):
            return []
        earlier, kind = self._authority.imported.earlier_digests(row.rule, row.kept), parse(row.secret)
        # A one-time token ends before anybody could miss it.
        if kind is None or kind is Kind.ONE_TIME:
            return earlier
        return earlier + self._authority.digests(kind, row.secret)

    def latest_end(self) -> int:
        """The latest end of a token imported now, in epoch seconds; 0 if it needs no end."""
        return self._lifetime.latest_end()

    def refusal(self, row: Exported | ImportedSecret, token: ManagedToken, origin: Origin) -> Skipped | None:
        """Why this row may not be imported, None if it may."""
        if isinstance(row, Exported) and not self._seals.is_ours(Record(row.token, row.seal)):
            return Skipped("not_ours", "Exported under another server key, or changed since.")
        try:
            # The same check as for a new token: an import must not give more rights than the caller has.
            check_held(origin, token)
            check_life(origin, token.expires_at)
            if isinstance(row, ImportedSecret):
                # The creator of an exported record is sealed, and so is true.
                check_creator(origin, token.created_by)
            # An ended token keeps its expiry, which is in the past and would be refused.
            if isinstance(row, ImportedSecret) or token.status(self._clock()) is Status.ACTIVE:
                self._lifetime.check(token.expires_at)
        except (Forbidden, InvalidRequest) as refused:
            return Skipped(refused.code, refused.detail)
        why = self._authority.imported.admit(token.imported) if token.imported else ""
        return Skipped("invalid_request", why) if why else None


def last_eight_of(secret: str) -> str:
    """What may be shown of a secret of any length: its end, at most a quarter of it and eight characters."""
    return secret[-min(8, len(secret) // 4) :]
