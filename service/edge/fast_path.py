"""The fast path: /validate answered from the parser's callback, without an ASGI scope and mostly without a task.

Decides by `Authority` and speaks by `api.gateway.answers`, as the ordinary route does; Redis is asked every time.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.addresses import Network
from service.api.auth.presented import presented
from service.api.gateway.answers import ABSENT, UNAVAILABLE, allowed_headers, answer, required_scopes, retried_request
from service.api.gateway.validate import KINDS
from service.api.http.application import RequestIds
from service.api.http.call import Headers, client_address
from service.api.http.validate_paths import ENVOY, ONE_TIME, ONE_TIME_ENVOY, PLAIN, form_of
from service.errors import StoreUnavailable
from service.metrics import NO_KIND, Metrics
from service.model import Kind, Verdict
from service.store.credentials import CredentialStore
from service.store.driver.replies import Reply
from service.tokens.authority import EXPIRED, MALFORMED, NETWORK_DENIED, UNKNOWN, Authority
from service.tokens.credential import DecodedCredential
from service.tokens.one_time import OneTimeTokens
from service.tokens.secret import parse

if TYPE_CHECKING:
    from service.edge.protocol import EdgeProtocol

Plan = tuple[bool, bytes]
# Session and managed tokens, and no query of ours.
_PLAIN: Plan = (False, b"")
_SPENDS: Plan = (True, b"")
_PLANS: dict[str | None, Plan] = {ENVOY: _PLAIN, ONE_TIME: _SPENDS, ONE_TIME_ENVOY: _SPENDS}
# A byte as a number is found in a third of the time.
_FRAGMENT = ord("#")
_MOST_SEEN = 4096
_BEARER = (b"Bearer ", b"bearer ")
_REQUEST_ID = b"x-request-id: "
# Refusals that say the same whatever was asked.
_CONSTANT = (ABSENT, MALFORMED, UNKNOWN, EXPIRED, NETWORK_DENIED, UNAVAILABLE)
_OTHER_CREDENTIALS = frozenset((b"x-api-key", b"x-token"))


class Seen(NamedTuple):
    """What was worked out of an Authorization field: its secret, and how that is looked up."""

    kind: Kind
    secret: bytes
    digest: bytes
    command: bytes
    submit: Callable[..., None]


class Prepared(NamedTuple):
    """A refusal that is the same for all requests except their id: its header lines, and its body around the id."""

    status: int
    lines: bytes
    before: bytes
    after: bytes


class FastPath:
    """What the fast path of every connection shares."""

    def __init__(
        self,
        authority: Authority,
        store: CredentialStore,
        one_time: OneTimeTokens,
        metrics: Metrics,
        request_ids: RequestIds,
        trusted: tuple[Network, ...],
        *,
        accept_basic: bool,
    ) -> None:
        self.authority = authority
        self.store = store
        self.one_time = one_time
        self.metrics = metrics
        self.request_ids = request_ids
        self.trusted = trusted
        self.accept_basic = accept_basic
        self.validations = metrics.validations.counts
        self.observe = metrics.validation_timer("fast")
        # Fields seen in the last quarter of a second: a busy token is worked out once for all its requests in it,
        # and none stays in memory longer. Whether it is good is asked of Redis each time all the same.
        self.seen: dict[bytes, Seen] = {}
        # By what they say; only with ids made here, because the body's length depends on the id's.
        self.refusals = {verdict.outcome: self._prepared(verdict, request_ids.new()) for verdict in _CONSTANT}
        self._openings_of: object = None
        self._openings: dict[int, bytes] = {}

    def _prepared(self, verdict: Verdict, request_id: str) -> Prepared:
        status, headers, body = answer(verdict, request_id, basic=self.accept_basic)
        before, _, after = body.partition(request_id.encode())
        return Prepared(status, lines_of(headers) + _REQUEST_ID, before, after)

    def remember(self, field: bytes, seen: Seen) -> None:
        """Keep what was worked out until `forget`, unless a flood of secrets is under way."""
        if len(self.seen) < _MOST_SEEN:
            self.seen[field] = seen

    def forget(self) -> None:
        """Let all secrets go; called with every tick of the sweep."""
        self.seen.clear()

    def opening(self, status: int, default_headers: Headers) -> bytes:
        """The status line and what uvicorn puts first, which changes once a second."""
        if default_headers is not self._openings_of:
            self._openings_of = default_headers
            self._openings = {}
        opening = self._openings.get(status)
        if opening is None:
            opening = self._openings[status] = STATUS_LINE[status] + lines_of(default_headers)
        return opening


def plan_of(url: bytes) -> Plan | None:
    """For a target of ours whether it spends a one-time token, and the query that may ask for scopes; else None."""
    if url == b"/validate":
        return _PLAIN
    path, _, query = url.partition(b"?")
    if _FRAGMENT in url:
        return None  # The ordinary way takes the fragment off.
    if path == b"/validate":
        return False, query
    if path.startswith(b"/validate/envoy/"):
        return _PLAIN
    form = form_of(path.decode("latin-1"))
    return (False, query) if form == PLAIN else _PLANS.get(form)


def lines_of(headers: Headers) -> bytes:
    """Headers as they go on the wire."""
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


class FastPathCycle:
    """One request after another on the fast path, in the place of uvicorn's request-response cycle."""

    # What uvicorn's protocol reads on a cycle whose request has no body.
    disconnected = False
    more_body = True

    def __init__(self, protocol: EdgeProtocol, fast_path: FastPath) -> None:
        self._protocol = protocol
        self._fast_path = fast_path
        self._named: dict[bytes, bytes] = {}
        self._headers: Headers = []
        self._plan = _PLAIN
        self._head_only = False
        self._kind: Kind | None = None
        self._secret = self._digest = b""
        self._started = 0.0
        self.keep_alive = True
        self.response_complete = True
        self.message_event = protocol.deadlines.event

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
        fast_path, named = self._fast_path, self._named
        field = named.get(b"authorization", b"")
        alone = not self._plan[0] and _OTHER_CREDENTIALS.isdisjoint(named)
        if alone and (seen := fast_path.seen.get(field)) is not None:
            self._look_up(seen)
            return
        if alone and field[:7] in _BEARER and (secret := field[7:].strip()):
            secrets = [secret]
        else:
            secrets = presented(self._headers, in_uri=self._plan[0], basic=fast_path.accept_basic)
        if len(secrets) != 1:
            self._kind, self._secret = None, b""
            self._finish(MALFORMED if secrets else ABSENT)
            return
        self._secret = secret = secrets[0]
        self._kind = kind = parse(secret)
        authority = fast_path.authority
        if self._plan[0] or (kind not in KINDS and authority.accepts_imported):
            self._protocol.run_task(self._ask())
        elif kind is None or kind is Kind.ONE_TIME:
            self._finish(MALFORMED)
        else:
            digest = authority.digest(kind, secret)
            seen = Seen(kind, secret, digest, *fast_path.store.prepare(digest))
            if alone:
                fast_path.remember(field, seen)
            self._look_up(seen)

    def _look_up(self, seen: Seen) -> None:
        self._kind, self._secret, digest, command, submit = seen
        self._digest = digest
        if digest in self._fast_path.authority.limited:
            self._protocol.run_task(self._ask())
        else:
            submit(command, self._answered, retry=True)

    def _answered(self, reply: Reply) -> None:
        authority = self._fast_path.authority
        if reply.__class__ is not bytes:
            if reply is None and authority.may_lie_elsewhere:
                self._protocol.run_task(self._ask())
            else:
                self._finish(UNKNOWN if reply is None else UNAVAILABLE)
            return
        decoded = authority.open(self._digest, reply)
        if decoded is None:
            self._finish(UNKNOWN)
        elif decoded.limited:
            # The lookup that counts is another one.
            self._protocol.run_task(self._ask())
        else:
            named, now = self._named, authority.clock()
            asks = self._plan is not _PLAIN or b"x-required-scope" in named
            client = self._protocol.client
            address = self._address() if self._fast_path.trusted or client is None else client[0]
            verdict = authority.evaluate(decoded, self._required() if asks else (), address, now)
            authority.count(decoded, verdict, now, address, named.get(b"user-agent", b""))
            self._finish(verdict, decoded)

    def _address(self) -> str:
        forwarded = self._named.get(b"x-forwarded-for")
        return client_address({"client": self._protocol.client}, forwarded, self._fast_path.trusted)

    def _required(self) -> tuple[str, ...]:
        query = self._plan[1]
        return required_scopes(query, self._headers) if query or b"x-required-scope" in self._named else ()

    async def _ask(self) -> None:
        """The rest of a way that needs more than one answer of Redis."""
        fast_path = self._fast_path
        try:
            if self._plan[0]:
                request = retried_request(self._headers, self._protocol.client, fast_path.trusted)
                verdict = await fast_path.one_time.consume(self._secret, request=request, required=self._required())
                fast_path.metrics.consumed.inc(verdict.outcome.value)
            else:
                verdict = await fast_path.authority.verify(
                    self._secret,
                    KINDS,
                    required=self._required(),
                    address=self._address(),
                    agent=self._named.get(b"user-agent", b""),
                )
        except StoreUnavailable:
            verdict = UNAVAILABLE
        self._finish(verdict)

    def _finish(self, verdict: Verdict, decoded: DecodedCredential | None = None) -> None:
        fast_path, protocol = self._fast_path, self._protocol
        kind = verdict.credential.kind if verdict.credential else self._kind
        fast_path.validations[kind or NO_KIND, verdict.outcome] += 1
        if self._secret:
            fast_path.observe(perf_counter() - self._started)
        given = self._named.get(b"x-request-id")
        request_id = (fast_path.request_ids.new() if given is None else fast_path.request_ids.of(given)).encode()
        if decoded is not None and verdict is decoded.active:
            status, lines, body = 200, decoded.answer, b""
            if lines is None:
                lines = decoded.answer = lines_of(allowed_headers(decoded.credential)) + _REQUEST_ID
        else:
            status, lines, body = self._refusal(verdict, request_id, own=given is None)
        opening = fast_path.opening(status, protocol.server_state.default_headers)
        end = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        protocol.answer_fast(self, b"".join((opening, lines, request_id, end, b"" if self._head_only else body)))

    def _refusal(self, verdict: Verdict, request_id: bytes, *, own: bool) -> tuple[int, bytes, bytes]:
        """The status, the header lines up to the request id, and the body; `own` says that the id was made here."""
        prepared = self._fast_path.refusals.get(verdict.outcome) if own else None
        if prepared is not None:
            return prepared.status, prepared.lines, b"".join((prepared.before, request_id, prepared.after))
        status, headers, body = answer(verdict, request_id.decode(), basic=self._fast_path.accept_basic)
        return status, lines_of(headers) + _REQUEST_ID, body
