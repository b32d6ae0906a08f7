"""The fast path: /validate answered from the parser's callback, without an ASGI scope and mostly without a task.

Decides by `Authority` and speaks by `api.gateway.answers`, as the ordinary route does; Redis is asked every time.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter

from service.api.auth.presented import presented
from service.api.gateway.answers import (
    ABSENT,
    REQUEST_ID,
    UNAVAILABLE,
    answer,
    lines_of,
    quota_headers,
    retried_request,
)
from service.api.gateway.validate import KINDS
from service.api.http.validate_paths import ENVOY, ONE_TIME, ONE_TIME_ENVOY, PLAIN, form_of
from service.edge.fast_cycle import Connection, FastCycle
from service.edge.fast_path import FastPath, Seen
from service.errors import StoreUnavailable
from service.metrics import NO_KIND
from service.model import Kind, Verdict
from service.store.credentials import Charge
from service.store.driver.replies import Reply
from service.tokens.authority import MALFORMED, UNKNOWN
from service.tokens.charging import Limited
from service.tokens.credential import DecodedCredential
from service.tokens.secret import parse

Plan = tuple[bool, bytes]
# Session and managed tokens, and no query of ours.
_PLAIN: Plan = (False, b"")
_SPENDS: Plan = (True, b"")
_PLANS: dict[str | None, Plan] = {ENVOY: _PLAIN, ONE_TIME: _SPENDS, ONE_TIME_ENVOY: _SPENDS}
# Where a secret takes more reading: behind a scheme, or in what a gateway says that its client asked for.
_ELSEWHERE = frozenset((b"authorization", b"x-original-uri", b"x-forwarded-uri"))
# A byte as a number is found in a third of the time.
_FRAGMENT = ord("#")


def plan_of(url: bytes) -> Plan | None:
    """For a target of ours whether it spends a one-time token, and the query that may ask for scopes; else None."""
    # Before anything is taken apart: 90 ns for this one, 250 for one with a query.
    if url == b"/validate":
        return _PLAIN
    path, _, query = url.partition(b"?")
    if _FRAGMENT in url:
        return None  # The ordinary way takes the fragment off.
    if path == b"/validate":
        return False, query
    if path.startswith(b"/validate/envoy/"):
        return _PLAIN
    if path == b"/validate/one-time":
        return _SPENDS
    if not path.lstrip(b"/").startswith(b"validate"):
        return None
    form = form_of(path.decode("latin-1"))
    return (False, query) if form == PLAIN else _PLANS.get(form)


class FastPathCycle(FastCycle[Plan]):
    """Validations."""

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        super().__init__(protocol, fast_path)
        self._plan = _PLAIN
        self._kind: Kind | None = None
        self._secret = self._digest = b""

    def start(self) -> None:
        """Ask, or answer at once where nothing need be asked."""
        self._started = perf_counter()
        fast_path, named = self._fast_path, self._named
        field, key, token = named.get(b"authorization"), named.get(b"x-api-key"), named.get(b"x-token")
        remembered = fast_path.seen
        if key is not None or token is not None:
            # Another dictionary: the same bytes in an Authorization field would present nothing.
            remembered = fast_path.seen_keys
            field = (token if key is None else key) if field is None and (key is None or token is None) else None
        if field is not None and not self._plan[0] and (seen := remembered.get(field)) is not None:
            self._read_record(seen)
            return
        alone = self._alone(field) if field and fast_path.is_usual else b""
        secrets = [alone] if alone else presented(self._headers, in_uri=self._plan[0], accepted=fast_path.accepted)
        # Two secrets in one request are none: which of them counts would be a guess, and a proxy may guess otherwise.
        if len(secrets) != 1:
            # The cycle has served other requests: what these presented must not be counted for this one.
            self._kind, self._secret = None, b""
            self._finish(MALFORMED if secrets else ABSENT)
            return
        self._secret = secret = secrets[0]
        self._kind = kind = parse(secret)
        if self._plan[0]:
            self._spend()
        elif (digest := fast_path.authority.first_digest(kind, secret)) is None:
            self._finish(MALFORMED)
        else:
            seen = Seen(kind, secret, digest, *fast_path.store.prepare(digest))
            if field is not None and len(remembered) < fast_path.most_seen:
                remembered[field] = seen
            self._read_record(seen)

    def _alone(self, field: bytes) -> bytes:
        """The secret in the only field that presents one, where that takes no more reading; empty where it does."""
        if self._plan[0] and not _ELSEWHERE.isdisjoint(self._named):
            return b""
        if b"authorization" in self._named:
            return field[7:].strip() if field[:7] == b"Bearer " else b""
        return field.strip()

    def _spend(self) -> None:
        # Neither may be spent, and GETDEL takes whatever it is given: `consume` refuses both.
        if self._kind is not Kind.ONE_TIME or self._required():
            self._protocol.run_task(self._ask())
            return
        fast_path, request = self._fast_path, ""
        if b"x-tokens-retry-key" in self._named:
            request = retried_request(self._headers, self._protocol.client, fast_path.trusted)
        answer = partial(self._spent, may_be_kept=True) if request else self._spent
        fast_path.one_time.spend(self._secret, request, answer)

    def _read_record(self, seen: Seen) -> None:
        self._kind, self._secret, digest, command, submit = seen
        self._digest = digest
        limited = self._fast_path.authority.charging.limited.get(digest)
        if limited is None:
            submit(command, self._answered, retry=True)
        else:
            self._charge(limited)

    def _charge(self, limited: Limited) -> None:
        """Read and charge in one script. What is unusual goes on in a task, from the start: nothing was charged yet."""
        authority = self._fast_path.authority
        remembered = limited.decoded
        now, address = authority.clock(), self._address()
        verdict = authority.evaluate(remembered, self._required(), address, now)
        # A record that is only remembered is no reason to refuse: the task reads it as it stands now.
        if not verdict.active:
            self._protocol.run_task(self._ask())
            return

        def charged(reply: Reply) -> None:
            found = authority.charging.charged(remembered, verdict, reply, now) if reply.__class__ is Charge else None
            if found is not None:
                allowed, decoded = found
                authority.count(decoded, allowed, now, address, self._named.get(b"user-agent", b""))
                self._finish(allowed, decoded)
            elif isinstance(reply, StoreUnavailable):
                self._finish(UNAVAILABLE)
            else:
                self._protocol.run_task(self._ask())

        limited.ask(charged)

    def _answered(self, reply: Reply) -> None:
        authority = self._fast_path.authority
        if reply.__class__ is not bytes:
            # It may be stored under the previous server key, or as the secret of another system: that takes more
            # digests.
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
            named, now, address = self._named, authority.clock(), self._address()
            asks = self._plan is not _PLAIN or b"x-required-scope" in named
            verdict = authority.evaluate(decoded, self._required() if asks else (), address, now)
            authority.count(decoded, verdict, now, address, named.get(b"user-agent", b""))
            self._finish(verdict, decoded)

    def _spent(self, digest: bytes, reply: Reply, *, may_be_kept: bool = False) -> None:
        if reply and reply.__class__ is bytes:
            self._finish(self._fast_path.one_time.spent(digest, reply, may_be_kept=may_be_kept))
        elif isinstance(reply, StoreUnavailable):
            self._finish(UNAVAILABLE)
        else:
            self._protocol.run_task(self._ask())

    def _required(self) -> tuple[str, ...]:
        query, field = self._plan[1], self._named.get(b"x-required-scope")
        return self._fast_path.required(query, field) if query or field is not None else ()

    async def _ask(self) -> None:
        """The rest of a way that needs more than one answer of Redis."""
        fast_path = self._fast_path
        try:
            if self._plan[0]:
                request = retried_request(self._headers, self._protocol.client, fast_path.trusted)
                verdict = await fast_path.one_time.consume(self._secret, request=request, required=self._required())
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
        fast_path = self._fast_path
        kind = verdict.credential.kind if verdict.credential else self._kind
        fast_path.validations[kind or NO_KIND, verdict.outcome] += 1
        # What presented nothing asked nothing, and would make the histogram seem faster than Redis is.
        if self._secret:
            seconds = perf_counter() - self._started
            fast_path.observe(seconds)
            if b"traceparent" in self._named:
                fast_path.show_trace(self._named[b"traceparent"], seconds)
        given = self._named.get(b"x-request-id")
        request_id = fast_path.request_ids.of(given)
        if decoded is not None and (verdict is decoded.active or verdict.active):
            status, lines, body = 200, fast_path.allowed_lines(decoded), b""
            if verdict.quotas:
                lines = lines_of(quota_headers(verdict.quotas)) + lines
        elif verdict.credential is not None and verdict.active and not verdict.quotas:
            status, lines, body = 200, fast_path.spent_lines(verdict.credential), b""
        else:
            status, lines, body = self._refusal(verdict, request_id)
        self._write(status, lines, request_id, body)

    def _refusal(self, verdict: Verdict, request_id: bytes) -> tuple[int, bytes, bytes]:
        """The status, the header lines up to the request id, and the body."""
        prepared = self._fast_path.refusals.get(verdict.outcome)
        if prepared is not None:
            return prepared.status, prepared.lines(request_id), b"".join((prepared.before, request_id, prepared.after))
        status, headers, body = answer(verdict, request_id.decode(), basic=self._fast_path.accepted.basic)
        return status, lines_of(headers) + REQUEST_ID, body
