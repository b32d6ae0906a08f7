"""Questions about a token on the fast path: introspection, and whether a session is valid.

They are answered as `api.oauth` and `api.sessions` answer them. Redis is asked every time; an introspection reads the
caller's token and the token in question in one write.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from service.api.http.access import INTROSPECT
from service.api.http.bodies import Json
from service.api.oauth import INTROSPECTION_PATH, claims_of
from service.api.sessions import CHECK_PATH, SessionState
from service.edge.fast_cycle import Connection, OperationCycle, Whole
from service.edge.fast_path import FastPath, Seen
from service.errors import StoreUnavailable
from service.metrics import NO_KIND
from service.model import Kind, Verdict
from service.store.driver.replies import Reply, unavailable
from service.tokens.authority import MALFORMED, UNKNOWN
from service.tokens.credential import DecodedCredential

_MEDIA_TYPE = b"application/x-www-form-urlencoded"
# Any other form is for the ordinary way to read.
_FORM = re.compile(rb"token=([A-Za-z0-9_]+)(?:&token_type_hint=[a-z_]*)?")
_SCOPE = (INTROSPECT.scope,)
_ANSWERS_KEPT = 4096
_INACTIVE = Whole.of(Json(claims_of(UNKNOWN)))
# Not None, which is Redis's reply where there is no such record.
_NOT_YET = object()
_PATH = CHECK_PATH.encode()
_KINDS = (Kind.SESSION,)
_TOKEN = b"token="
# Any other query is for the ordinary way to read.
_QUERY = re.compile(rb"(?:token=[A-Za-z0-9]*)?")


@lru_cache(_ANSWERS_KEPT)
def _active(decoded: DecodedCredential) -> Whole:
    return Whole.of(Json(claims_of(decoded.active)))


class IntrospectionCycle(OperationCycle):
    """Introspections by a client that authenticates with its own token as Bearer."""

    template = INTROSPECTION_PATH

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        super().__init__(protocol, fast_path)
        self._client: Seen
        self._token: Seen
        self._client_reply: Reply = _NOT_YET
        self._token_reply: Reply = _NOT_YET

    def _begin(self) -> None:
        """Ask for both records, or leave the request to the ordinary way."""
        form, client = _FORM.fullmatch(self.body), self._bearer()
        token = self._fast_path.seen[form[1]] if form else None
        if self.head.named.get(b"content-type") != _MEDIA_TYPE or client is None or token is None:
            self._start_over(self.head.plan)
            return
        self._client, self._token = client, token
        # Reset, because a cycle serves one request after another.
        self._client_reply = self._token_reply = _NOT_YET
        client.changes.find(client.command, self._take_client)
        token.changes.find(token.command, self._take_token)

    def _take_client(self, reply: Reply) -> None:
        self._client_reply = reply
        if self._token_reply is not _NOT_YET:
            self._decide()

    def _take_token(self, reply: Reply) -> None:
        self._token_reply = reply
        if self._client_reply is not _NOT_YET:
            self._decide()

    def _decide(self) -> None:
        authority, found = self._fast_path.authority, self._token_reply
        for reply in (self._client_reply, found):
            if isinstance(reply, StoreUnavailable):
                self._fail(reply)
                return
        client = self._record_of(self._client, self._client_reply)
        if client is not None and (client.credential.kind is not Kind.MANAGED or client.missing(_SCOPE)):
            client = None
        token = authority.open(self._token.digest, found) if isinstance(found, bytes) else None
        is_no = found is None and not authority.may_lie_elsewhere
        if client is None or (token is None and not is_no) or (token is not None and token.limited):
            self._start_over(self.head.plan)
            return
        now, address = authority.clock(), self._address()
        authority.count(client, client.active, now, address, self.head.named.get(b"user-agent", b""))
        verdict = authority.evaluate_anywhere(token, (), now)
        answer = _INACTIVE if token is None or not verdict.active else _active(token)
        self._answer(answer, token_id=client.credential.token_id)


def check_of(url: bytes, named: Mapping[bytes, bytes]) -> bytes | None:
    """The secret that a session check is about; None for another request, and for one that needs more parsing."""
    if not url.startswith(_PATH):
        return None
    path, _, query = url.partition(b"?")
    if path != _PATH or b"#" in url:
        return None
    field = named.get(b"x-token")
    return field or (query[len(_TOKEN) :] if _QUERY.fullmatch(query) else None)


@lru_cache(_ANSWERS_KEPT)
def _said(expires_at: int | None) -> Whole:
    """The answer about a session that is valid until `expires_at`; None if it is not valid."""
    return Whole.of(Json(SessionState(expires_at is not None, expires_at)))


class SessionCheckCycle(OperationCycle):
    """Session checks."""

    method = "GET"
    template = CHECK_PATH

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        super().__init__(protocol, fast_path)
        self._digest = b""

    def _begin(self) -> None:
        """Ask Redis, or answer at once if nothing need be asked."""
        seen = self._fast_path.seen[self.head.plan]
        if seen is None or seen.kind is not Kind.SESSION:
            self._finish(MALFORMED)
            return
        self._digest = seen.digest
        seen.changes.find(seen.command, self._answered)

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
            # The session may be stored under the previous server key.
            self._protocol.run_task(self._ask())
        elif reply is None:
            self._finish(UNKNOWN)
        else:
            # Only a reply of None means that the session is not valid; anything else that is no record is a failure.
            self._fail(reply if isinstance(reply, StoreUnavailable) else unavailable())

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
