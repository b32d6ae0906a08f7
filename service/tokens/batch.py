"""The question about many secrets at once, which spends and counts nothing."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from service.model import Kind, Outcome, Verdict
from service.store.credentials import CredentialStore, Found
from service.tokens.authority import UNKNOWN, Authority
from service.tokens.credential import DecodedCredential
from service.tokens.secret import parse

_KINDS = tuple(Kind)


class Peeked(NamedTuple):
    """What `Authority.peek` says of one secret, and the record where it is active without a limit."""

    verdict: Verdict
    decoded: DecodedCredential | None = None


class Batch:
    """Asks about sessions and managed tokens together, and beside them about each of the rest."""

    def __init__(self, authority: Authority, store: CredentialStore) -> None:
        self._authority = authority
        self._store = store

    async def peek(self, secrets: list[bytes], required: tuple[str, ...]) -> list[Peeked]:
        """The answers in the order of the secrets. One round trip, two for those with a limit."""
        digests = self._digests(secrets)
        each = [secret for secret, digest in zip(secrets, digests, strict=True) if digest is None]
        found, rest = await asyncio.gather(
            self._store.find_all([digest for digest in digests if digest is not None]),
            asyncio.gather(*[self._authority.peek(secret, _KINDS, required=required) for secret in each]),
        )
        told, known = iter(rest), self._answers(found, required)
        answers = [Peeked(next(told)) if digest is None else known[digest] for digest in digests]
        limited = [place for place, one in enumerate(answers) if one.decoded is not None and one.decoded.limited]
        if limited:
            asked = [self._authority.peek(secrets[place], _KINDS, required=required) for place in limited]
            for place, verdict in zip(limited, await asyncio.gather(*asked), strict=True):
                answers[place] = Peeked(verdict)
        return answers

    def _digests(self, secrets: list[bytes]) -> list[bytes | None]:
        """Where the record of each secret lies, None for what is no session or managed token and may lie elsewhere."""
        if self._authority.may_lie_elsewhere:
            return [None] * len(secrets)
        kinds, digest = [parse(secret) for secret in secrets], self._authority.digest
        return [
            None if kind is None or kind is Kind.ONE_TIME else digest(kind, secret)
            for kind, secret in zip(kinds, secrets, strict=True)
        ]

    def _answers(self, found: dict[bytes, Found], required: tuple[str, ...]) -> dict[bytes, Peeked]:
        authority, now = self._authority, self._authority.clock()
        open_, evaluate = authority.open, authority.evaluate_anywhere
        answers = {}
        for digest, (sealed, reason) in found.items():
            if sealed is None:
                answers[digest] = Peeked(UNKNOWN if reason is None else Verdict(Outcome(reason.state)))
            else:
                decoded = open_(digest, sealed)
                verdict = evaluate(decoded, required, now)
                answers[digest] = Peeked(verdict, decoded if verdict.active else None)
        return answers
