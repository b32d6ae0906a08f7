"""POST /oauth2/introspect on the fast path: a managed token asks about a token. Says what `api.oauth` says.

Both records are read in one write, every time.
"""

import re
from functools import lru_cache

from service.api.http.access import INTROSPECT
from service.api.http.call import Json
from service.api.oauth import INTROSPECTION_PATH, claims_of
from service.edge.fast_cycle import Connection, OperationCycle, Whole
from service.edge.fast_path import FastPath, Seen
from service.errors import StoreUnavailable
from service.model import Kind
from service.store.driver.replies import Reply
from service.tokens.authority import UNKNOWN
from service.tokens.credential import DecodedCredential

_MEDIA_TYPE = b"application/x-www-form-urlencoded"
# Any other form is for the ordinary way to read.
_FORM = re.compile(rb"token=([A-Za-z0-9_]+)(?:&token_type_hint=[a-z_]*)?")
_SCOPE = (INTROSPECT.scope,)
_ANSWERS_KEPT = 4096
_INACTIVE = Whole.of(Json(claims_of(UNKNOWN)))
# Not None, which is a reply: there is no such record.
_NOT_YET = object()


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
        """Ask for both records, or leave it to the ordinary way."""
        named, lookup_of = self.head.named, self._fast_path.lookup_of
        form, field = _FORM.fullmatch(self.body), named.get(b"authorization", b"")
        bearer = field[7:].strip() if field[:7].lower() == b"bearer " else b""
        client, token = lookup_of(bearer), lookup_of(form[1]) if form else None
        if named.get(b"content-type") != _MEDIA_TYPE or client is None or token is None:
            self._start_over(self.head.plan)
            return
        self._client, self._token = client, token
        # Anew, because a cycle serves one request after another.
        self._client_reply = self._token_reply = _NOT_YET
        client.submit(client.command, self._take_client, retry=True)
        token.submit(token.command, self._take_token, retry=True)

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
        client = self._admitted()
        token = authority.open(self._token.digest, found) if isinstance(found, bytes) else None
        is_no = found is None and not authority.may_lie_elsewhere
        if client is None or (token is None and not is_no) or (token is not None and token.limited):
            self._start_over(self.head.plan)
            return
        now, address = authority.clock(), self._address()
        authority.count(client, client.active, now, address, self.head.named.get(b"user-agent", b""))
        verdict = authority.evaluate_anywhere(token, (), now)
        self._answer(_INACTIVE if token is None or not verdict.active else _active(token))

    def _admitted(self) -> DecodedCredential | None:
        """The client's record, if nothing but that is needed to admit it."""
        authority, found = self._fast_path.authority, self._client_reply
        client = authority.open(self._client.digest, found) if isinstance(found, bytes) else None
        if client is None or client.limited or client.credential.kind is not Kind.MANAGED or client.missing(_SCOPE):
            return None
        verdict = authority.evaluate(client, (), self._address(), authority.clock())
        return client if verdict.active else None
