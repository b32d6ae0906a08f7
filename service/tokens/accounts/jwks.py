"""The keys that verify administrators' JWTs: one shared secret, or a JWKS that is cached and fetched again."""

import asyncio
import json
import logging
import urllib.request
import warnings
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from time import monotonic
from typing import IO, Any
from urllib.error import HTTPError

import msgspec
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import Key, OctKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

from service.errors import StoreUnavailable

log = logging.getLogger(__name__)

FRESH_SECONDS = 300
STALE_SECONDS = 3600
ASK_AGAIN_SECONDS = 60
_FIRST_AGAIN_SECONDS = 5
_READ_SECONDS = 5
_GIVE_UP_SECONDS = 10
_BYTES = 256 * 1024
# RFC 7518, 3.3: a shorter key must not be used.
_RSA_BITS = 2048
# The one algorithm allowed for each type of key.
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}


class VerificationKey(msgspec.Struct, frozen=True):
    """A key and the one algorithm it is used with."""

    algorithm: str
    key: Key

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """True if this key made the signature over these bytes."""
        return JWSRegistry.algorithms[self.algorithm].verify(signed, signature, self.key)


class SharedSecret:
    """One secret for HS256. A key id has no meaning for it and is ignored."""

    def __init__(self, secret: str) -> None:
        self._key = VerificationKey("HS256", OctKey.import_key(secret))

    async def find(self, algorithm: str, kid: str | None) -> VerificationKey | None:
        """As `Jwks.find`."""
        return self._key if algorithm == self._key.algorithm else None


Keys = dict[tuple[str | None, str], VerificationKey]


class Jwks:
    """Public keys from a file or URL, read in a thread.

    After five minutes they are fetched again in the background; after an hour without an answer they are no longer
    trusted. An unknown key id waits for a fetch that is under way, or starts one, at most once a minute.
    """

    def __init__(self, read: Callable[[], bytes], clock: Callable[[], float], keys: Keys | None = None) -> None:
        self._read = read
        self._clock = clock
        self._keys: Keys = keys or {}
        self._read_at = clock() if keys else float("-inf")
        self._asked_at = self._read_at
        self._asking: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, kid: str | None) -> VerificationKey | None:
        """The key for an algorithm and a key id, None if there is none. Raises StoreUnavailable."""
        # Checked before any fetch, because a stranger may name any algorithm, and also `none`.
        if algorithm not in _ALGORITHMS.values():
            return None
        await self._keep_fresh()
        key = self._pick(algorithm, kid)
        # Another request may have started a fetch, whose answer may contain the key.
        if key is None and (self._asking is not None or self._may_ask(ASK_AGAIN_SECONDS)):
            await self._ask()
            key = self._pick(algorithm, kid)
        return key

    def _pick(self, algorithm: str, kid: str | None) -> VerificationKey | None:
        if kid is not None:
            return self._keys.get((kid, algorithm))
        fitting = [key for (_, other), key in self._keys.items() if other == algorithm]
        # Without a key id only a single fitting key can be meant; with several none is tried.
        return fitting[0] if len(fitting) == 1 else None

    async def _keep_fresh(self) -> None:
        age = self._clock() - self._read_at
        if age > STALE_SECONDS:
            if self._may_ask(_FIRST_AGAIN_SECONDS) or self._asking is not None:
                await self._ask()
            if self._clock() - self._read_at > STALE_SECONDS:
                raise StoreUnavailable(
                    "The keys of administrators' JWTs cannot be read. Try again.", code="keys_unavailable"
                )
        elif age > FRESH_SECONDS and self._may_ask(ASK_AGAIN_SECONDS):
            self._start()

    def _may_ask(self, pause_seconds: float) -> bool:
        return self._clock() - self._asked_at >= pause_seconds

    def _start(self) -> asyncio.Task[None]:
        """Starts a fetch unless one is under way, which all callers then share."""
        if self._asking is None:
            self._asked_at = self._clock()
            self._asking = asyncio.get_running_loop().create_task(self._renew())
        return self._asking

    async def _ask(self) -> None:
        # Shielded: a client that leaves must not stop the fetch that others wait for.
        await asyncio.shield(self._start())

    async def _renew(self) -> None:
        try:
            # The opener's timeout is per read, and a server may send byte by byte.
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                document = await asyncio.to_thread(self._read)
            self._keys = read_keys(document)
            self._read_at = self._clock()
        except (OSError, ValueError, HTTPException) as error:
            # The keys from the last fetch stay in use until they are too old.
            log.warning("the keys of administrators' JWTs cannot be read: %s", error)
        finally:
            self._asking = None


def read_keys(document: bytes) -> Keys:
    """The usable keys of a JWKS by key id and algorithm. Raises ValueError if there are none."""
    try:
        entries = json.loads(document)["keys"]
    # TypeError for JSON that is not an object, RecursionError for brackets nested deeper than the stack allows.
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("this is not a JWKS") from None
    keys: Keys = {}
    for entry in entries if isinstance(entries, list) else ():
        key = _read_key(entry) if isinstance(entry, dict) else None
        if key is not None:
            # Of two keys with one id the first counts, whatever follows it.
            keys.setdefault((entry.get("kid"), key.algorithm), key)
    if not keys:
        raise ValueError("the JWKS holds no public key for RS256, ES256 or EdDSA")
    return keys


def _read_key(entry: dict[str, Any]) -> VerificationKey | None:
    """A key that may verify, None for any other. A key that could also sign does not belong in a JWKS."""
    curve = entry.get("crv")
    algorithm = _ALGORITHMS.get((str(entry.get("kty")), None if curve is None else str(curve)))
    operations = entry.get("key_ops", ["verify"])
    if (
        algorithm is None
        or entry.get("alg", algorithm) != algorithm
        or entry.get("use", "sig") != "sig"
        or not (isinstance(operations, list) and "verify" in operations)
        or not isinstance(entry.get("kid", ""), str)
        or "d" in entry
    ):
        return None
    try:
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # a short key is refused below
            key = import_key(entry)
    # joserfc also lets through errors of the decoders that it uses.
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < _RSA_BITS:
        return None
    return VerificationKey(algorithm, key)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: keys may come only from the configured place, and the operator must change a moved one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def url_reader(url: str) -> Callable[[], bytes]:
    """A function that reads an https URL. It raises OSError, HTTPException, or ValueError for too many bytes."""
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - https was checked

    def read() -> bytes:
        document, ends = b"", monotonic() + _GIVE_UP_SECONDS
        try:
            with opener.open(request, timeout=_READ_SECONDS) as answer:
                # In pieces: a server that sends byte by byte would hold a thread, and this process's end, for days.
                while len(document) <= _BYTES and (piece := answer.read1(_BYTES)):
                    document += piece
                    if monotonic() > ends:
                        raise TimeoutError("its end does not come")
        except HTTPError as refused:
            # An error answer also keeps its connection open.
            refused.close()
            raise
        if len(document) > _BYTES:
            raise ValueError(f"the JWKS is larger than {_BYTES} bytes")
        return document

    return read
