"""Which operations have a fast path, and the cycles of those whose caller authenticates by a Bearer token.

These cycles read the caller's record from Redis every time, then call the application's handler.
"""

from __future__ import annotations

import re
from typing import Any

from starlette.types import Message

from service.api.admin.tokens import MANAGED_PATH
from service.api.http.bodies import LongJson
from service.api.http.call import Call
from service.api.one_time import ISSUE_PATH
from service.edge.checks import IntrospectionCycle, SessionCheckCycle, check_of
from service.edge.fast_cycle import Connection, OperationCycle, Whole
from service.edge.fast_path import FastPath, Seen
from service.edge.known_heads import Named
from service.edge.one_time import ConsumeCycle, GenerateCycle, generates
from service.errors import StoreUnavailable
from service.store.driver.many_tokens import Ahead
from service.store.driver.replies import Reply


class BearerCycle(OperationCycle):
    """Reads the caller's record and has the handler answer a valid caller; leaves all others to the ordinary way."""

    # Finds the id of the one token that a request changes, if it names one, as most do.
    named: re.Pattern[bytes] | None = None

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        super().__init__(protocol, fast_path)
        self._caller: Seen
        self._ahead: Ahead | None = None

    def _begin(self) -> None:
        caller = self._bearer()
        if caller is None:
            self._start_over(self.head.plan)
            return
        self._caller = caller
        # Read in one write with the caller's record, but not used before the caller is authenticated.
        found = self.named.search(self.body or self.head.plan) if self.named else None
        self._ahead = self._fast_path.ahead(found[1].decode()) if found else None
        caller.changes.find(caller.command, self._take_caller)

    def _take_caller(self, reply: Reply) -> None:
        if isinstance(reply, StoreUnavailable):
            # No second attempt: a client that waited for a hanging store would wait as long once more.
            self._fail(reply)
            return
        caller = self._record_of(self._caller, reply)
        if caller is None:
            self._start_over(self.head.plan)
            return
        headers, address = self._headers, self._address()
        query = self.head.plan.partition(b"?")[2]
        scope: Any = {"method": self._method, "path": self.template, "query_string": query, "headers": headers}
        call = Call(scope, self._receive, dict(headers), self._request_id().decode(), address)
        call.admitted, call.ahead, self._ahead = caller, self._ahead, None
        self._protocol.run_task(self._work(call))

    async def _receive(self) -> Message:
        # As on the ordinary way: a client that has disconnected would never get the secret of its new token.
        if self._protocol.transport.is_closing():
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.body}

    async def _work(self, call: Call) -> None:
        response = await self._fast_path.answer(call)
        request_id = call.request_id.encode()
        if isinstance(response, LongJson):
            response.raw_headers.append((b"x-request-id", request_id))
            self._start_over(self.head.plan, (call, response))
            return
        self._answer(Whole.of(response), outcome=call.outcome, token_id=call.token_id, request_id=request_id)


class CreateCycle(BearerCycle):
    """A managed token is created."""

    template = MANAGED_PATH


class ChangeCycle(BearerCycle):
    """Managed tokens are changed, and switched on and off."""

    method = "PATCH"
    template = MANAGED_PATH
    named = re.compile(rb'"id": ?"([0-9a-f]{16})"')


class RevokeCycle(BearerCycle):
    """Managed tokens are revoked."""

    method = "DELETE"
    template = MANAGED_PATH
    named = re.compile(rb"[?&]id=([0-9a-f]{16})")


class ListCycle(BearerCycle):
    """A page of managed tokens is shown, in the order of their creation."""

    method = "GET"
    template = MANAGED_PATH


class IssueCycle(BearerCycle):
    """A one-time token is issued to a caller who is known."""

    template = ISSUE_PATH


# Operations that may have a body, by method and path.
_CHANGING: dict[tuple[bytes, bytes], type[OperationCycle]] = {
    (cycle.method.encode(), cycle.template.encode()): cycle
    for cycle in (IntrospectionCycle, ConsumeCycle, CreateCycle, ChangeCycle, RevokeCycle, IssueCycle)
}
_METHODS = frozenset(method for method, _ in _CHANGING)
# Any other query is for the ordinary way to read.
_QUERY = re.compile(rb"[A-Za-z0-9=&,_-]*")
# A list without a search: only the ordinary way notices during a search that its client has disconnected.
_PAGE = re.compile(re.escape(MANAGED_PATH).encode() + rb"(\?((limit|cursor|status)=[A-Za-z0-9_,-]+&?)+)?")
# Most digits of a Content-Length on the fast path: a longer body is for the ordinary way.
_DIGITS = 4


def operation_of(method: bytes, url: bytes, named: Named) -> tuple[type[OperationCycle], bytes] | None:
    """The cycle that answers this request, and its plan: the URL or a secret; None where the ordinary way answers."""
    length = named.get(b"content-length", b"0")
    if method in _METHODS:
        path, _, query = url.partition(b"?")
        is_short = len(length) <= _DIGITS and length.isdigit() and _QUERY.fullmatch(query)
        cycle = _CHANGING.get((method, path)) if is_short else None
        # The ordinary way refuses a request without a credential, and does not wait for its body first.
        if cycle is None or (issubclass(cycle, BearerCycle) and b"authorization" not in named):
            return None
        return cycle, url
    if length != b"0" or method not in (b"GET", b"HEAD"):
        return None
    if (secret := check_of(url, named)) is not None:
        return SessionCheckCycle, secret
    if b"authorization" in named and _PAGE.fullmatch(url):
        return ListCycle, url
    return (GenerateCycle, url) if generates(url, named) else None
