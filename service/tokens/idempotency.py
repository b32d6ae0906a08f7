"""Repeatable requests: a repeat gets exactly the same secret, which is derived again and stored nowhere."""

import hmac
from collections.abc import Callable

import msgspec

from service.errors import Conflict
from service.keyring import DerivedKeys, Keyring
from service.model import Kind, ManagedToken, Status
from service.store.driver.keys import shard_of_digest
from service.store.driver.shards import Shard, Shards
from service.store.idempotency import RequestStore
from service.tokens.secret import Minter, mint, mint_id, with_checksum

# What is stored for a request: random characters, when it came, and a MAC of its words.
_NONCE_SIZE, _INSTANT_SIZE = 32, 10
_WORDS_AT = _NONCE_SIZE + _INSTANT_SIZE


class Repeatable(msgspec.Struct, frozen=True):
    """A client's Idempotency-Key, and the words of its request in some fixed encoding."""

    key: str
    words: bytes


class Derived(msgspec.Struct, frozen=True):
    """The source of a repeatable request's secret: the same for every repeat, and unknown to Redis.

    `first_at`: when the request was first tried, in epoch seconds.
    """

    keys: DerivedKeys
    request: bytes
    nonce: bytes
    first_at: int

    def secret_into(self, shard: int, shards: int) -> tuple[str, bytes]:
        """The managed secret and its digest: the first of a fixed sequence whose digest belongs to the shard."""
        number = 0
        while True:
            # As many random bits as a minted secret has.
            secret = with_checksum(self.hex(b"secret", number)[:56])
            digest = self.keys.digest(Kind.MANAGED, secret.encode())
            if shard_of_digest(digest, shards) == shard:
                return secret, digest
            number += 1

    def token_id(self, shard: int) -> str:
        """The id of the token that the request creates."""
        return f"{shard:02x}{self.hex(b'id')[:14]}"

    def hex(self, label: bytes, number: int = 0) -> str:
        """64 hex characters that only the server key can produce."""
        key = self.keys.derive(b"repeatable " + label)
        return hmac.digest(key, self.request + self.nonce + number.to_bytes(8, "big"), "sha256").hex()


class Minted(msgspec.Struct, frozen=True):
    """A managed secret, its digest, and an id for its token.

    `first_at`: when a repeatable request was first tried, in epoch seconds; 0 for any other request.
    """

    token_id: str
    secret: str
    digest: bytes
    first_at: int = 0


class Repeats:
    """Mints managed secrets; a repeat with the same Idempotency-Key within ten minutes gets the same one."""

    def __init__(
        self, store: RequestStore, keyring: Keyring, minter: Minter, shards: Shards, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._minter = minter
        self._shards = shards
        self._clock = clock

    async def mint(self, shard: Shard, request: Repeatable | None, actor: str, operation: str) -> Minted:
        """A secret whose digest and id belong to a shard. One round trip for a `request`, else none.

        Raises Conflict, as `admit` does.
        """
        if request is None:
            return Minted(mint_id(shard.index), *self._minter.mint(Kind.MANAGED, shard))
        derived = await self.admit(request, actor, operation)
        secret, digest = derived.secret_into(shard.index, len(self._shards))
        return Minted(derived.token_id(shard.index), secret, digest, derived.first_at)

    async def admit(self, request: Repeatable, actor: str, operation: str) -> Derived:
        """The source of the secret, the same for the first try and its repeats. One round trip, three while a previous
        server key is accepted.

        Raises Conflict `idempotency_mismatch` if this caller used the key for another request or operation.
        """
        instant = b"%0*d" % (_INSTANT_SIZE, int(self._clock()))

        def said_at(instant: bytes) -> bytes:
            return operation.encode() + b"\x00" + instant + request.words

        # The nonce needs 128 random bits, as a one-time secret has, but is not one. A MAC and not the words themselves,
        # because Redis need not know them.
        mine = mint(Kind.ONE_TIME).encode() + instant + self._keyring.mac("idempotency", said_at(instant)).encode()
        stands = await self._stand(mine, self._keyring.pseudonyms("idempotency", actor, request.key))
        nonce, instant, mac = stands[:_NONCE_SIZE], stands[_NONCE_SIZE:_WORDS_AT], stands[_WORDS_AT:]
        # By either key: repeats of a first try under the previous key are answered under that key.
        keys = self._keyring.signer("idempotency", said_at(instant), mac.decode("latin-1"))
        if keys is None:
            raise Conflict(
                "This Idempotency-Key was used for another request. Take a new one.", code="idempotency_mismatch"
            )
        return Derived(keys, keys.pseudonym("idempotency", actor, request.key), nonce, int(instant))

    async def _stand(self, mine: bytes, places: list[bytes]) -> bytes:
        """The stored value of a request known under `places`, the present key's first: whichever came first."""
        present, *others = places
        if not others:
            return await self._store.reserve(present, mine)
        (previous,) = others
        stands = await self._store.reserve(present, await self._store.find(previous) or mine)
        # Two concurrent first tries, in processes with different present keys, each leave a value in one place. Both
        # then read both values and take the same one.
        return min(stands, await self._store.reserve(previous, stands))


def refuse_if_secret_ended(token: ManagedToken, minted: Minted, now: float) -> None:
    """Raises Conflict before a repeat answers a secret that has ended and can never be valid again."""
    kept = [token.digest, token.predecessor if token.in_overlap(now) else b""]
    if token.status(now) in (Status.REVOKED, Status.EXPIRED) or minted.digest not in kept:
        raise ended_since()


def ended_since() -> Conflict:
    """The refusal of a repeat whose secret has ended."""
    said = "What an earlier try of this request made has ended. Take a new Idempotency-Key."
    return Conflict(said, code="token_revoked")
