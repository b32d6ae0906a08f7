"""GET /api/token on the fast path: is this session valid. Says what `api.sessions` says; Redis is asked every time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from service.api.http.call import Json
from service.api.sessions import CHECK_PATH, SessionState
from service.edge.fast_cycle import Connection, OperationCycle, Whole
from service.edge.fast_path import FastPath
from service.errors import StoreUnavailable
from service.metrics import NO_KIND
from service.model import Kind, Verdict
from service.store.driver.replies import Reply
from service.tokens.authority import MALFORMED, UNKNOWN

_PATH = CHECK_PATH.encode()
_KINDS = (Kind.SESSION,)
_ANSWERS_KEPT = 4096
_NO_ANSWER = "The token store is not answering. Try again."
_TOKEN = b"token="
# Any other query is for the ordinary way to read.
_QUERY = re.compile(rb"(?:token=[A-Za-z0-9]*)?")


def check_of(url: bytes, named: Mapping[bytes, bytes]) -> bytes | None:
    """The secret that a session check is about; None for another request, and for one that takes more reading."""
    if not url.startswith(_PATH):
        return None
    path, _, query = url.partition(b"?")
    if path != _PATH or b"#" in url:
        return None
    field = named.get(b"x-token")
    return field or (query[len(_TOKEN) :] if _QUERY.fullmatch(query) else None)


@lru_cache(_ANSWERS_KEPT)
def _said(expires_at: int | None) -> Whole:
    """Of a session that is not valid for None."""
    return Whole.of(Json(SessionState(expires_at is not None, expires_at)))


class SessionCheckCycle(OperationCycle):
    """Session checks."""

    method = "GET"
    template = CHECK_PATH

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        super().__init__(protocol, fast_path)
        self._digest = b""

    def _begin(self) -> None:
        """Ask, or answer at once where nothing need be asked."""
        seen = self._fast_path.lookup_of(self.head.plan)
        if seen is None or seen.kind is not Kind.SESSION:
            self._finish(MALFORMED)
            return
        self._digest = seen.digest
        seen.submit(seen.command, self._answered, retry=True)

    def _answered(self, reply: Reply) -> None:
        authority = self._fast_path.authority
        if isinstance(reply, bytes):
            decoded, now = authority.open(self._digest, reply), authority.clock()
            verdict = authority.evaluate(decoded, (), "", now)
            if decoded is not None:
                # Without address and user agent, as `Sessions.check` counts it.
                authority.count(decoded, verdict, now, "", b"")
            self._finish(verdict)
        elif reply is None and authority.may_lie_elsewhere:
            # It may be stored under the previous server key.
            self._protocol.run_task(self._ask())
        elif reply is None:
            self._finish(UNKNOWN)
        else:
            # Only "there is none" is a no: whatever else is no record is no answer.
            self._fail(reply if isinstance(reply, StoreUnavailable) else StoreUnavailable(_NO_ANSWER))

    async def _ask(self) -> None:
        try:
            verdict = await self._fast_path.authority.verify(self.head.plan, _KINDS)
        except StoreUnavailable as error:
            self._fail(error)
        else:
            self._finish(verdict)

    def _finish(self, verdict: Verdict) -> None:
        self._fast_path.validations[Kind.SESSION if self.head.plan else NO_KIND, verdict.outcome] += 1
        credential = verdict.accepted
        said = _said(credential.expires_at if credential else None)
        self._answer(said, token_id=credential.token_id if credential else "")
