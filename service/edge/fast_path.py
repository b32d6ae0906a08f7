"""What the fast paths of all connections share: the meaning of recent requests, and prepared answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api.auth.presented import Accepted
from service.api.gateway.answers import (
    ABSENT,
    REQUEST_ID,
    UNAVAILABLE,
    Answer,
    allowed_lines,
    answer,
    lines_of,
    required_scopes,
)
from service.api.http.application import Application
from service.api.http.call import Headers
from service.api.http.problems import TITLES, problem_body
from service.edge.head import Refusal
from service.edge.known_heads import Head, KnownHeads
from service.identifiers import trace_of
from service.metrics import Metrics
from service.model import KIND_MANAGED, Kind, Outcome, Verdict
from service.store.credentials import CredentialStore
from service.store.driver.many_tokens import Ahead
from service.store.limits.subjects import Changes
from service.store.usage import Use
from service.tokens.authority import EXPIRED, MALFORMED, NETWORK_DENIED, UNKNOWN, VOIDED, Authority
from service.tokens.credential import DecodedCredential
from service.tokens.one_time import OneTimeTokens
from service.tokens.secret import MANAGED_LENGTH, parse

# uvicorn takes Python's reason phrases, but those of 413 and 422 are outdated before Python 3.13.
STATUS_LINES = STATUS_LINE | {status: f"HTTP/1.1 {status} {title}\r\n".encode() for status, title in TITLES.items()}
_MOST_SEEN = 16_384
# A secret of another system may be as long as a head.
_LONGEST_SEEN = 1024
_MOST_REQUIRED = _MOST_HEADS = 4096
_END_OF_HEAD = b"\r\n\r\n"
# Every parser reads a query of these characters in the same way.
_WITH_QUERY = re.compile(rb"([A-Z]+ )([^ ?]+)(\?[A-Za-z0-9=&,_-]*)( HTTP/1\.1\r\n.*)", re.DOTALL).fullmatch
_LET_GO_AT_ONCE = 256
# Refusals whose answer is the same for all requests.
_CONSTANT = (ABSENT, MALFORMED, UNKNOWN, EXPIRED, VOIDED, NETWORK_DENIED, UNAVAILABLE)


class Seen(Use, kw_only=True, eq=False, gc=False):
    """What is known about a secret: the `command` that reads its record, sent by `changes`, and the last `reply`.

    Until the instant `until` the same reply allows a request for the `required` scopes, with these header `lines`. The
    record itself is not kept, to save memory: there is one `Seen` for each token of the last seconds.
    `kind` is that of the secret's form; None is possible for a secret of another system.
    """

    kind: Kind | None
    command: bytes
    changes: Changes
    reply: bytes | None = None
    lines: bytes = b""
    known: object = None
    required: tuple[str, ...] = ()
    until: float = 0.0


class SeenSecrets(dict[bytes, Seen | None]):
    """A cache by the secret of a session or managed token; None for bytes that can be the secret of neither.

    When it is full it keeps the oldest entries and the newest one, because the secrets mostly come in turn.
    """

    __slots__ = ("_authority", "_recent", "_store")

    def __init__(self, authority: Authority, store: CredentialStore) -> None:
        super().__init__()
        self._authority, self._store = authority, store
        self._recent = authority.usage.recent

    def __missing__(self, secret: bytes) -> Seen | None:
        # A secret whose digest is known was parsed before. With many tokens this saves parsing most of them again.
        digest = self._authority.digest(KIND_MANAGED, secret) if len(secret) == MANAGED_LENGTH else None
        seen = self._recent.get(digest) if digest else None
        if seen.__class__ is not Seen:
            kind = parse(secret)
            if kind is not KIND_MANAGED:
                digest = self._authority.first_digest(kind, secret)
            if digest is None:
                return None
            seen = self._recent.get(digest)
            if seen.__class__ is not Seen:
                command, changes = self._store.prepare(digest)
                seen = Seen("", digest, kind=kind, command=command, changes=changes)
        if len(secret) <= _LONGEST_SEEN:
            if len(self) >= _MOST_SEEN:
                self.popitem()
            self[secret] = seen
        return seen


class Prepared(msgspec.Struct, frozen=True):
    """A refusal that differs only by the request id: the header lines before and after the length, the body before and
    after the id, and the length of the body without the id.
    """

    status: int
    first_lines: bytes
    last_lines: bytes
    before: bytes
    after: bytes
    length: int

    @classmethod
    def of(cls, refusal: Answer, request_id: bytes) -> Prepared:
        """From the answer to one request: the parts that are the same for every request."""
        status, headers, body = refusal
        first, _, last = lines_of(headers).partition(b"%d\r\n" % len(body))
        before, _, after = body.partition(request_id)
        return cls(status, first, b"\r\n" + last + REQUEST_ID, before, after, len(before) + len(after))

    def lines(self, request_id: bytes) -> bytes:
        """The header lines up to the request id."""
        return b"%b%d%b" % (self.first_lines, self.length + len(request_id), self.last_lines)


class HeadsOfOperations(dict[bytes, tuple[Head, int]]):
    """Parsed heads by their bytes without the query, each with the length of the body that it announces.

    A client that asks again mostly sends the same head with another body or another query.
    """

    def find(self, packet: bytes) -> tuple[Head, bytes] | None:
        """The head and the body of a packet that is exactly one request with such a head; None for any other."""
        written, end, body = packet.partition(_END_OF_HEAD)
        known, plan = self.get(written), b""
        # A query may make a head too large.
        if known is None and len(written) <= _LONGEST_SEEN and (found := _WITH_QUERY(written)):
            method, path, query, rest = found.groups()
            known, plan = self.get(method + path + rest), path + query
        if known is None or known[1] != len(body) or not end:
            return None
        head, _ = known
        return Head(head.kind, plan, head.named, {}, head_only=False) if plan else head, body

    def keep(self, packet: bytes, head: Head, body: bytes) -> None:
        """Remember the head of a request that was read from this packet, with all of its body."""
        written, _, rest = packet.partition(_END_OF_HEAD)
        # Not a head with something that differs from request to request, nor a packet with less or more than a request.
        if rest == body and not head.places and len(self) < _MOST_HEADS and len(written) <= _LONGEST_SEEN:
            if found := _WITH_QUERY(written):
                written = found[1] + found[2] + found[4]
                head = Head(head.kind, found[2], head.named, {}, head_only=False)
            self[written] = head, len(body)


class Openings(dict[int, bytes]):
    """The first bytes of an answer by its status: the status line and uvicorn's fields, which change each second."""

    __slots__ = ("default_headers",)

    def __init__(self, default_headers: Headers) -> None:
        super().__init__()
        self.default_headers = default_headers

    def __missing__(self, status: int) -> bytes:
        self[status] = STATUS_LINES[status] + lines_of(self.default_headers)
        return self[status]


class FastPath:
    """What the fast path of every connection shares."""

    def __init__(
        self,
        authority: Authority,
        store: CredentialStore,
        one_time: OneTimeTokens,
        metrics: Metrics,
        application: Application,
        accepted: Accepted,
        ahead: Callable[[str], Ahead],
    ) -> None:
        """`ahead` asks for the record of a token before the caller who wants to change the token is authenticated."""
        self.authority = authority
        self.count_allowed = authority.usage.allow
        self.limited = authority.charging.limited
        self.store = store
        self.one_time = one_time
        self.application = application
        self.request_ids = application.request_ids
        self.tell, self.answer = application.tell, application.answer
        self.trusted, self.address_of = application.trusted, application.trusted.recent
        self.accepted, self.ahead = accepted, ahead
        self.validations = metrics.validations.counts
        self.allowed = metrics.validations.part(Kind, Outcome.ACTIVE)
        self.observe = metrics.validation_timing("fast").observe
        self._show = metrics.validation_timing("fast").show
        self.count_refusal = metrics.refused
        # Caches by the bytes received, emptied each second: bytes that come again are not parsed again. No secret stays
        # longer, here or with a connection. Redis is asked for every request all the same.
        self.heads, self.heads_of_operations = KnownHeads(), HeadsOfOperations()
        self.seen = SeenSecrets(authority, store)
        self.is_usual = accepted.is_usual
        self._required: dict[tuple[bytes, bytes | None], tuple[str, ...]] = {}
        self.refusals = {verdict.outcome: self._prepared(verdict) for verdict in _CONSTANT}
        self.openings = Openings([])

    def _prepared(self, verdict: Verdict) -> Prepared:
        request_id = self.request_ids.new()
        return Prepared.of(answer(verdict, request_id.decode(), basic=self.accepted.basic), request_id)

    def show_trace(self, traceparent: bytes, seconds: float) -> None:
        """Make a validation whose trace is sampled the exemplar of its time in the histogram."""
        trace = trace_of(traceparent)
        if trace is not None and trace.sampled:
            self._show(trace.trace_id, seconds)

    def forget(self) -> None:
        """Forget all secrets; called once a second."""
        seen, self.seen = self.seen, SeenSecrets(self.authority, self.store)
        of_operations, self.heads_of_operations = self.heads_of_operations, HeadsOfOperations()
        for passed in (self.heads.forget(), of_operations, seen):
            _let_go(passed)
        self._required.clear()

    def open(self, seen: Seen, sealed: bytes) -> DecodedCredential | None:
        """Decode the record that Redis returned. With more tokens than `seen` holds, none comes again while it is
        cached: not to cache the records, and so to reuse their memory, is faster.
        """
        authority = self.authority
        open_record = authority.open if len(self.seen) < _MOST_SEEN else authority.open_once
        return open_record(seen.digest, sealed)

    def remember(self, seen: Seen, decoded: DecodedCredential, reply: bytes, required: tuple[str, ...]) -> None:
        """Remember that this reply allows a request for these scopes."""
        seen.reply, seen.known, seen.required = reply, self.authority.known, required
        seen.lines = decoded.lines or self.allowed_lines(decoded)
        seen.until = self.authority.lasts_until(decoded)
        self.authority.usage.know(seen, decoded)

    def allowed_lines(self, decoded: DecodedCredential) -> bytes:
        """The header lines of an allowed request, kept with the record. Redis is asked before each use of them."""
        decoded.lines = lines = allowed_lines(decoded.credential, decoded.limits if decoded.limited else ())
        return lines

    def required(self, query: bytes, field: bytes | None) -> tuple[str, ...]:
        """The scopes that a gateway asks for; remembered, because it asks with the same bytes every time."""
        required = self._required.get((query, field))
        if required is None:
            required = required_scopes(query, [] if field is None else [(b"x-required-scope", field)])
            # A client that invents scopes must not fill the memory.
            if len(self._required) < _MOST_REQUIRED:
                self._required[query, field] = required
        return required

    def refusal(self, refusal: Refusal, default_headers: Headers) -> bytes:
        """The whole answer, after which the connection is closed."""
        request_id = self.request_ids.of(None)
        body = problem_body(refusal.status, refusal.code, refusal.detail, request_id.decode())
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id),
            (b"connection", b"close"),
            *([(b"retry-after", b"1")] if refusal.status == 503 else []),
        ]
        return STATUS_LINES[refusal.status] + lines_of(default_headers + headers) + b"\r\n" + body


def _let_go(passed: dict[Any, Any]) -> None:
    """Free some entries, the rest in later turns of the event loop: all entries of a second at once can take 3 ms."""
    for _ in range(min(_LET_GO_AT_ONCE, len(passed))):
        passed.popitem()
    if passed:
        asyncio.get_running_loop().call_soon(_let_go, passed)
