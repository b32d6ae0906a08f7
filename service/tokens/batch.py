"""The question about many secrets at once, which spends and counts nothing."""

import asyncio

from service.model import Kind, Scopes, Verdict
from service.store.credentials import CredentialStore
from service.tokens.authority import NETWORK_DENIED, UNKNOWN, Authority
from service.tokens.credential import DecodedCredential
from service.tokens.secret import parse

_KINDS = tuple(Kind)
# How many digests are remembered for a moment, because whoever asks in batches asks about the same secrets again.
# What a secret is good for is asked of Redis each time.
_MOST_KEPT = 4096
_KEPT_SECONDS = 0.25
# Stands for a digest where there is none to ask by, or where there may be several.
_ELSEWHERE = b""

# What is said of a secret: its record where it is active without a limit, else what `Authority.peek` says.
Known = DecodedCredential | Verdict


class Batch:
    """Asks about sessions and managed tokens together, and behind them about each of the rest."""

    def __init__(self, authority: Authority, store: CredentialStore) -> None:
        self._authority = authority
        self._store = store
        self._digests: dict[str, bytes] = {}

    async def peek(self, secrets: list[str], required: Scopes) -> list[Known]:
        """The answers in the order of the secrets. One round trip, another for those that are gone, and one for the
        rest and those with a limit.
        """
        # What was kept before the first secret of another system came may lie elsewhere, too.
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
        """Where the record of a session or managed token lies, _ELSEWHERE for the rest."""
        if self._authority.may_lie_elsewhere:
            return _ELSEWHERE
        asked = secret.encode()
        kind = parse(asked)
        if kind is None or kind is Kind.ONE_TIME:
            return _ELSEWHERE
        digest = self._authority.digest(kind, asked)
        if not self._digests:
            asyncio.get_running_loop().call_later(_KEPT_SECONDS, self._digests.clear)
        # A full memory takes no more: with more secrets than fit, each would only push out one that is asked for next.
        if len(self._digests) < _MOST_KEPT:
            self._digests[secret] = digest
        return digest

    async def _together(self, digests: list[bytes], required: Scopes) -> dict[bytes, Known]:
        """What is known of these; nothing of those that must be asked about by themselves."""
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
            # From no address: where from it may be used is not asked.
            verdict = evaluate(decoded, required, "", now)
            if decoded is None or (verdict is not decoded.active and verdict is not NETWORK_DENIED):
                known[digest] = verdict
            elif not decoded.limited:
                known[digest] = decoded
        if gone:
            reasons = await self._store.find_all_with_reasons(gone)
            # One of which there is a record now was made, or switched on, between the two.
            known |= {
                digest: UNKNOWN if reason is None else Verdict(reason.outcome(now))
                for digest, (sealed, reason) in reasons.items()
                if sealed is None
            }
        return known
