"""Checks many secrets at once, without spending or counting any use."""

import asyncio

from service.model import Kind, Scopes, Verdict
from service.store.credentials import CredentialStore
from service.tokens.authority import NETWORK_DENIED, UNKNOWN, Authority
from service.tokens.credential import DecodedCredential
from service.tokens.secret import parse

_KINDS = tuple(Kind)
# Digests cached for a moment, because clients that ask in batches ask about the same secrets again. Redis is asked
# each time whether a secret is valid.
_MOST_KEPT = 4096
_KEPT_SECONDS = 0.25
# Stands in place of a digest for a secret that has none, or may have several.
_ELSEWHERE = b""

# The result for a secret: its record if it is active and has no limit, else the verdict of `Authority.peek`.
Known = DecodedCredential | Verdict


class Batch:
    """Checks sessions and managed tokens together, and after that each of the other secrets."""

    def __init__(self, authority: Authority, store: CredentialStore) -> None:
        self._authority = authority
        self._store = store
        self._digests: dict[str, bytes] = {}

    async def peek(self, secrets: list[str], required: Scopes) -> list[Known]:
        """The results in the order of the secrets. One round trip, another one for secrets that are not found, and one
        for the others and those with a limit.
        """
        # A digest cached before the first import may no longer be the only one.
        kept = {} if self._authority.may_lie_elsewhere else self._digests
        digests = [kept.get(secret) or self._digest(secret) for secret in secrets]
        known = await self._together([digest for digest in dict.fromkeys(digests) if digest], required)
        answers = [known.get(digest) for digest in digests]
        each = [place for place, answer in enumerate(answers) if answer is None]
        if each:
            peek = self._authority.peek
            asked = [peek(secrets[place].encode(), _KINDS, required=required) for place in each]
            for place, verdict in zip(each, await asyncio.gather(*asked), strict=True):
                answers[place] = verdict
        return [answer for answer in answers if answer is not None]

    def _digest(self, secret: str) -> bytes:
        """The digest of a session or managed token, _ELSEWHERE for other secrets."""
        if self._authority.may_lie_elsewhere:
            return _ELSEWHERE
        asked = secret.encode()
        kind = parse(asked)
        if kind is None or kind is Kind.ONE_TIME:
            return _ELSEWHERE
        digest = self._authority.digest(kind, asked)
        if not self._digests:
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._digests.clear)
        # A full cache takes no more: with more secrets than fit, each new one would evict one that is needed next.
        if len(self._digests) < _MOST_KEPT:
            self._digests[secret] = digest
        return digest

    async def _together(self, digests: list[bytes], required: Scopes) -> dict[bytes, Known]:
        """The results for these digests, without those that must be asked about separately."""
        found = await self._store.find_all(digests)
        authority, now = self._authority, self._authority.clock()
        open_, evaluate = authority.open, authority.evaluate
        known: dict[bytes, Known] = {}
        gone = []
        for digest, sealed in found.items():
            if sealed is None:
                gone.append(digest)
                continue
            decoded = open_(digest, sealed)
            # Without an address, because networks are not evaluated here.
            verdict = evaluate(decoded, required, "", now)
            if decoded is None or (verdict is not decoded.active and verdict is not NETWORK_DENIED):
                known[digest] = verdict
            elif not decoded.limited:
                known[digest] = decoded
        if gone:
            reasons = await self._store.find_all_with_reasons(gone)
            # A secret with a record now was created, or activated, between the two reads.
            known |= {
                digest: UNKNOWN if reason is None else Verdict(reason.outcome(now))
                for digest, (sealed, reason) in reasons.items()
                if sealed is None
            }
        return known
