"""The straight path: /validate answered from the parser's callback, without an ASGI scope and mostly without a task.

Decides by `Authority` and speaks by `api.verdicts`, as the ordinary route does; Redis is asked every time.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api.front import RequestIds
from service.api.gateway import KINDS
from service.api.http import Network, client_address
from service.api.verdicts import (
    ABSENT,
    UNAVAILABLE,
    Headers,
    allowed_headers,
    answer,
    in_original_uri,
    presented,
    required_scopes,
)
from service.errors import StoreUnavailable
from service.metrics import Metrics
from service.model import Kind, Verdict
from service.store.credentials import CredentialStore
from service.store.replies import Reply
from service.tokens.authority import MALFORMED, UNKNOWN, Authority
from service.tokens.one_time import OneTimeTokens
from service.tokens.opened import Opened
from service.tokens.secret import parse

if TYPE_CHECKING:
    from service.edge.protocol import EdgeProtocol

Plan = tuple[bool, bytes]
# Session and managed tokens, and no query of ours.
_PLAIN: Plan = (False, b"")
_MOST_SEEN = 4096
_BEARER = (b"Bearer ", b"bearer ")
_OTHER_CREDENTIALS = frozenset((b"x-api-key", b"x-token"))


class Seen(NamedTuple):
    """What was worked out of a secret: its kind, its digest and how that is looked up."""

    kind: Kind
    digest: bytes
    command: bytes
    submit: Callable[..., None]


class Straight:
    """What the straight path of every connection shares."""

    def __init__(
        self, authority: Authority, store: CredentialStore, one_time: OneTimeTokens, metrics: Metrics,
        request_ids: RequestIds, trusted: tuple[Network, ...],
    ) -> None:  # fmt: skip
        self.authority = authority
        self.store = store
        self.one_time = one_time
        self.metrics = metrics
        self.request_ids = request_ids
        self.trusted = trusted
        self.observe = metrics.validation_timer("straight")
        # Secrets seen in the last quarter of a second: a busy token is worked out once for all its requests in it,
        # and none stays in memory longer. Whether it is good is asked of Redis each time all the same.
        self.seen: dict[bytes, Seen] = {}
        self._allowed_of: object = None
        self._allowed = b""

    def remember(self, secret: bytes, seen: Seen) -> Seen:
        """Keep what was worked out until `forget`, unless a flood of secrets is under way."""
        if len(self.seen) < _MOST_SEEN:
            self.seen[secret] = seen
        return seen

    def forget(self) -> None:
        """Let all secrets go; called with every tick of the sweep."""
        self.seen.clear()

    def allowed(self, default_headers: Headers) -> bytes:
        """The opening of a 200: its status line and what uvicorn puts first, which changes once a second."""
        if default_headers is not self._allowed_of:
            self._allowed_of = default_headers
            self._allowed = STATUS_LINE[200] + lines_of(default_headers)
        return self._allowed


def plan_of(url: bytes) -> Plan | None:
    """For a target of ours whether it spends a one-time token, and the query that may ask for scopes; else None."""
    if url == b"/validate":
        return _PLAIN
    path, _, query = url.partition(b"?")
    if path == b"/validate":
        return False, query
    if path.startswith(b"/validate/envoy/"):
        return _PLAIN
    if path == b"/validate/one-time" or path.startswith(b"/validate/one-time/envoy/"):
        return True, b""
    return None


def lines_of(headers: Headers) -> bytes:
    """Headers as they go on the wire."""
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


class StraightCycle:
    """One request after another on the straight path, standing where uvicorn keeps its request-response cycle."""

    # What uvicorn's protocol reads on a cycle whose request has no body.
    disconnected = False
    more_body = True

    def __init__(self, protocol: EdgeProtocol, straight: Straight) -> None:
        self._protocol = protocol
        self._straight = straight
        self._named: dict[bytes, bytes] = {}
        self._headers: Headers = []
        self._plan = _PLAIN
        self._head_only = False
        self._kind: Kind | None = None
        self._secret = self._digest = b""
        self._started = 0.0
        self.keep_alive = True
        self.response_complete = True
        self.message_event = protocol.sweep.event

    def take(
        self, headers: Headers, named: dict[bytes, bytes], plan: Plan, *, head_only: bool, keep_alive: bool
    ) -> None:
        """The next request; `named` holds its headers by name, of which none occurs twice."""
        self.keep_alive = keep_alive
        self._headers = headers
        self._named = named
        self._plan = plan
        self._head_only = head_only
        self.response_complete = False

    def start(self) -> None:
        """Ask, or answer at once where nothing need be asked."""
        self._started = perf_counter()
        straight, named = self._straight, self._named
        secret = named.get(b"authorization", b"")
        if not self._plan[0] and secret[:7] in _BEARER and _OTHER_CREDENTIALS.isdisjoint(named):
            secret = secret[7:].strip()
            seen = straight.seen.get(secret)
            if seen is not None:
                self._kind, self._secret = seen.kind, secret
                self._look_up(seen)
                return
        else:
            secrets = self._presented()
            if len(secrets) != 1:
                self._kind, self._secret = None, b""
                self._finish(MALFORMED if secrets else ABSENT)
                return
            secret = secrets[0]
        self._secret = secret
        self._kind = kind = parse(secret)
        authority = straight.authority
        if self._plan[0] or (kind not in KINDS and authority.accepts_foreign):
            self._protocol.run_task(self._ask())
        elif kind is None or kind is Kind.ONE_TIME:
            self._finish(MALFORMED)
        else:
            digest = authority.digest(kind, secret)
            self._look_up(straight.remember(secret, Seen(kind, digest, *straight.store.prepare(digest))))

    def _look_up(self, seen: Seen) -> None:
        self._digest = seen.digest
        if seen.digest in self._straight.authority.limited:
            self._protocol.run_task(self._ask())
        else:
            seen.submit(seen.command, self._answered, retry=True)

    def _presented(self) -> list[bytes]:
        secrets = presented(self._headers)
        if self._plan[0]:
            in_uri = in_original_uri(self._headers)
            if in_uri is not None and in_uri not in secrets:
                secrets.append(in_uri)
        return secrets

    def _answered(self, reply: Reply) -> None:
        authority = self._straight.authority
        if reply.__class__ is not bytes:
            if reply is None and authority.may_lie_elsewhere:
                self._protocol.run_task(self._ask())
            else:
                self._finish(UNKNOWN if reply is None else UNAVAILABLE)
            return
        opened = authority.open(self._digest, reply)
        if opened is None:
            self._finish(UNKNOWN)
        elif opened.limited:
            # The lookup that counts is another one.
            self._protocol.run_task(self._ask())
        else:
            named, now = self._named, authority.clock()
            asks = self._plan is not _PLAIN or b"x-required-scope" in named
            address = self._address()
            verdict = authority.judge(opened, self._required() if asks else (), address, now)
            authority.count(opened, verdict, now, address, named.get(b"user-agent", b""))
            self._finish(verdict, opened)

    def _address(self) -> str:
        client = self._protocol.client
        if self._straight.trusted:
            forwarded = self._named.get(b"x-forwarded-for")
            return client_address({"client": client}, forwarded, self._straight.trusted)
        return client[0] if client else ""

    def _required(self) -> tuple[str, ...]:
        query = self._plan[1]
        return required_scopes(query, self._headers) if query or b"x-required-scope" in self._named else ()

    async def _ask(self) -> None:
        """The rest of a way that needs more than one answer of Redis."""
        straight = self._straight
        try:
            if self._plan[0]:
                key = self._named.get(b"idempotency-key", b"").decode("latin-1")
                verdict = await straight.one_time.consume(self._secret, request=key[:64], required=self._required())
                straight.metrics.consumed.labels(verdict.outcome.value).inc()
            else:
                verdict = await straight.authority.verify(
                    self._secret, KINDS, required=self._required(), address=self._address(),
                    agent=self._named.get(b"user-agent", b""),
                )  # fmt: skip
        except StoreUnavailable:
            verdict = UNAVAILABLE
        self._finish(verdict)

    def _finish(self, verdict: Verdict, opened: Opened | None = None) -> None:
        straight, protocol = self._straight, self._protocol
        kind = verdict.credential.kind if verdict.credential else self._kind
        straight.metrics.validated(kind, verdict.outcome)
        if self._secret:
            straight.observe(perf_counter() - self._started)
        given = self._named.get(b"x-request-id")
        request_id = straight.request_ids.new() if given is None else straight.request_ids.of(given)
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        default_headers = protocol.server_state.default_headers
        if opened is not None and verdict is opened.active:
            lines = opened.answer
            if lines is None:
                lines = opened.answer = lines_of(allowed_headers(opened.credential)) + b"x-request-id: "
            protocol.answer_straight(
                self, b"".join((straight.allowed(default_headers), lines, request_id.encode(), end))
            )
            return
        status, headers, body = answer(verdict, request_id)
        headers.append((b"x-request-id", request_id.encode()))
        lines = STATUS_LINE[status] + lines_of(default_headers + headers)[:-2] + end
        protocol.answer_straight(self, lines if self._head_only else lines + body)
