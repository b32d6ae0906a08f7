"""One-time tokens on the fast path: the PHP generator, and spending over HTTP. Answers as `api.one_time` does."""

import re
from collections.abc import Mapping
from functools import lru_cache

from service.api.http.router import name_of
from service.api.one_time import CONSUME_PATH, PHP_PATH, consumed, generated
from service.edge.fast_cycle import OperationCycle, Whole
from service.errors import StoreUnavailable
from service.store.driver.replies import Reply
from service.tokens.one_time import Issued

_PHP_BEGINNING = b"/api-v"
_PHP = re.compile(rb"/api-v[0-9]+/fastertokengenerator\.php")
# Fields that may authenticate a caller; the ordinary way finds out who that is and what it may do.
_KNOWN_BY = frozenset((b"authorization", b"cookie"))
# Any other body is for the ordinary way to read.
_BODY = re.compile(rb'\s*\{\s*"token"\s*:\s*"([0-9a-f]{32})"\s*\}\s*')
_JSON = b"application/json"
# A placeholder as long as a secret, but never a secret.
_PLACE = b"-" * 32
_ANSWERS_KEPT = 64


def generates(url: bytes, named: Mapping[bytes, bytes]) -> bool:
    """True for an anonymous request to the PHP generator."""
    return url.startswith(_PHP_BEGINNING) and _PHP.fullmatch(url) is not None and _KNOWN_BY.isdisjoint(named)


@lru_cache(_ANSWERS_KEPT)
def _said_of(expires_at: int) -> Whole:
    """The answer with the placeholder for the secret: tokens issued in the same second differ in nothing else."""
    return Whole.of(generated(Issued(_PLACE.decode(), expires_at)))


class GenerateCycle(OperationCycle):
    """The PHP generator, open to all."""

    method = "GET"
    template = name_of(PHP_PATH)

    def _begin(self) -> None:
        """Issue a token, unless the method is HEAD or only authenticated callers get one."""
        if self.head.head_only or not self._fast_path.one_time.policy.open_to_all:
            self._start_over(self.head.plan)
        else:
            self._fast_path.one_time.begin_issue(self._address(), self._issued)

    def _issued(self, issued: Issued | None) -> None:
        if issued is None:
            self._start_over(self.head.plan)
        else:
            status, lines, body = _said_of(issued.expires_at)
            self._answer(Whole(status, lines, body.replace(_PLACE, issued.secret.encode())))


class ConsumeCycle(OperationCycle):
    """A token is spent by its holder, without an Idempotency-Key."""

    template = CONSUME_PATH

    def _begin(self) -> None:
        """Spend the token, unless the request needs more parsing."""
        named = self.head.named
        found = _BODY.fullmatch(self.body)
        if found is None or b"idempotency-key" in named or named.get(b"content-type", _JSON) != _JSON:
            self._start_over(self.head.plan)
        else:
            self._fast_path.one_time.spend(found[1], "", self._spent)

    def _spent(self, digest: bytes, reply: Reply) -> None:
        if reply and isinstance(reply, bytes):
            verdict = self._fast_path.one_time.spent(digest, reply)
            spent = verdict.accepted
            self._answer(Whole.of(consumed(verdict)), token_id=spent.token_id if spent else "")
        elif isinstance(reply, StoreUnavailable):
            self._fail(reply)
        else:
            # The token may be stored under another digest, or this may be a retry.
            self._start_over(self.head.plan)
