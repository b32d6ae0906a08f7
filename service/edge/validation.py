"""/validate on the fast path: answered from the parser's callback, without an ASGI scope and mostly without a task.

`Authority` decides and `api.gateway.answers` makes the answer, as on the ordinary route. Redis is asked every time.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import cast

from service.api.auth.presented import presented
from service.api.gateway.answers import (
    ABSENT,
    REQUEST_ID,
    UNAVAILABLE,
    allowed_lines,
    answer,
    lines_of,
    quota_line,
    retried_request,
)
from service.api.gateway.validate import KINDS
from service.edge.fast_cycle import Connection, FastCycle
from service.edge.fast_path import FastPath, Seen
from service.edge.known_heads import NO_HEAD, SECRETS, SPENT
from service.errors import StoreUnavailable
from service.metrics import NO_KIND
from service.model import KIND_MANAGED, Kind, Verdict
from service.store.credentials import Charge
from service.store.driver.replies import OnReply, Reply
from service.store.limits.subjects import Changes
from service.tokens.authority import MALFORMED, UNKNOWN
from service.tokens.charging import Limited
from service.tokens.credential import DecodedCredential
from service.tokens.secret import parse

# Fields in which finding a secret takes more parsing: behind a scheme, or in the URI that a gateway's client asked for.
_ELSEWHERE = frozenset((b"authorization", b"x-original-uri", b"x-forwarded-uri"))


class Question:
    """What a head asks: about the only secret it presents, or else the `refusal`.

    If the secret is among the values that differ from request to request, `place` is its index in the pieces.
    """

    __slots__ = ("agent", "kind", "place", "refusal", "required", "secret", "seen")

    def __init__(self, secret: bytes, kind: Kind | None, *, required: tuple[str, ...], agent: bytes) -> None:
        self.secret = secret
        self.kind = kind
        self.required = required
        self.agent = agent
        self.refusal: Verdict | None = None
        self.seen: Seen | None = None
        self.place: int | None = None


# For an idle connection, which must not keep its last secret.
_NOTHING = Question(b"", None, required=(), agent=b"")
_UNSEEN = Seen("", b"", kind=None, command=b"", changes=cast(Changes, None))


class ValidationCycle(FastCycle):
    """Validations."""

    def __init__(self, protocol: Connection, fast_path: FastPath) -> None:
        super().__init__(protocol, fast_path)
        self._asked = _NOTHING
        self._seen = _UNSEEN
        # Bound once: to bind a method for each request costs as much as two calls.
        self._on_reply: OnReply | None = self._answered

    def discard(self) -> None:
        self._on_reply = None

    def start(self) -> None:
        """Ask Redis, or answer at once if nothing need be asked."""
        head, fast_path = self.head, self._fast_path
        asked = self._asked = head.asked or self._work_out()
        seen = asked.seen if (place := asked.place) is None else fast_path.seen[self.pieces[place]]
        if seen is None:
            self._started = perf_counter()
            if asked.refusal is None and head.plan[0]:
                self._spend()
            else:
                self._finish(asked.refusal or MALFORMED)
            return
        self._seen = seen
        # A record that allowed this before has no limit; if the record has changed, so has the reply.
        if seen.until or (limited := fast_path.limited.get(seen.digest)) is None:
            changes = seen.changes
            changes.find(seen.command, self._on_reply or self._answered)
            self._started = changes.began
        else:
            self._started = perf_counter()
            self._charge(limited)

    def _work_out(self) -> Question:
        fast_path, head = self._fast_path, self.head
        headers, (spends, query) = self._headers, head.plan
        named = dict(headers)
        field = named.get(b"x-required-scope")
        required = fast_path.required(query, field) if query or field is not None else ()
        alone = _alone(named, spends=spends) if fast_path.is_usual else b""
        secrets = [alone] if alone else presented(headers, in_uri=spends, accepted=fast_path.accepted)
        # Two secrets in one request count as none: to choose one would be a guess, and a proxy may guess otherwise.
        secret = secrets[0] if len(secrets) == 1 else b""
        asked = Question(secret, parse(secret), required=required, agent=named.get(b"user-agent", b""))
        held = next((name for name in SECRETS if name in head.places), None)
        if spends:
            asked.refusal = None if secret else MALFORMED if secrets else ABSENT
            # The question can be kept with the head if only the secret, which is said once, differs.
            is_known = SPENT in head.places and alone != b""
        elif not secret:
            asked.refusal = MALFORMED if secrets else ABSENT
            is_known = not secrets
        elif held is not None and (alone or not presented([*head.named.items()], accepted=fast_path.accepted)):
            # The next request with this head may have another secret, but not in another field.
            asked.place, asked.secret = head.places[held], b""
            is_known = True
        else:
            asked.seen = fast_path.seen[secret]
            # A secret that is malformed now may be imported from another system in the next moment.
            is_known = held is None and asked.seen is not None
        if is_known:
            head.asked = asked
        return asked

    def _spend(self) -> None:
        asked = self._asked
        # GETDEL would delete any token it is given, and neither of these may be spent: `consume` refuses both.
        if asked.kind is not Kind.ONE_TIME or asked.required:
            self._protocol.run_task(self._ask())
            return
        fast_path, request = self._fast_path, ""
        if b"x-tokens-retry-key" in self.head.places:
            request = retried_request(self._headers, self._protocol.client, fast_path.trusted)
        answer = partial(self._spent, may_be_kept=True) if request else self._spent
        fast_path.one_time.spend(self._said(SPENT) or asked.secret, request, answer)

    def _charge(self, limited: Limited) -> None:
        """Read and charge in one script. Unusual cases start again in a task, because nothing has been charged yet."""
        authority, asked = self._fast_path.authority, self._asked
        remembered = limited.decoded
        now, address = authority.clock(), self._address()
        verdict = authority.evaluate(remembered, asked.required, address, now)
        # A cached record is no reason to refuse: the task reads the current one.
        if not verdict.active:
            self._protocol.run_task(self._ask())
            return

        def charged(reply: Reply) -> None:
            found = authority.charging.charged(remembered, verdict, reply, now) if reply.__class__ is Charge else None
            if found is not None:
                allowed, decoded = found
                authority.count(decoded, allowed, now, address, asked.agent)
                self._finish(allowed, decoded)
            elif isinstance(reply, StoreUnavailable):
                self._finish(UNAVAILABLE)
            else:
                self._protocol.run_task(self._ask())

        limited.ask(charged)

    def _answered(self, reply: Reply) -> None:
        """Allow a token without limits that is not one-time: nearly every answer, so it makes few calls."""
        fast_path, asked, seen = self._fast_path, self._asked, self._seen
        now = seen.changes.asked_at
        if (
            now >= seen.until
            or seen.reply != reply
            or seen.known is not fast_path.authority.known
            or seen.required != asked.required
        ) and not self._allows(reply, now):
            return
        head, pieces = self.head, self.pieces
        # Read before they are called: `fast_path.observe()` would first search the class for a method of that name.
        count, observe = fast_path.count_allowed, fast_path.observe
        if (place := head.forwarded_at) is None or not self._is_trusted:
            address = self._peer if head.hops is None else self._address()
        else:
            address_of = fast_path.address_of
            address = address_of(pieces[place])
        count(seen, now, address, asked.agent)
        fast_path.allowed[seen.kind or KIND_MANAGED] += 1
        seconds = perf_counter() - self._started
        observe(seconds)
        if head.trace_at is not None:
            fast_path.show_trace(pieces[head.trace_at], seconds)
        request_id = fast_path.request_ids.new() if head.id_at is None else pieces[head.id_at]
        self._write(200, seen.lines, request_id)
        self.head, self.pieces, self._asked, self._seen = NO_HEAD, (), _NOTHING, _UNSEEN

    def _allows(self, reply: Reply, now: float) -> bool:
        """True if the record allows the request, and is remembered. Else another answer is given, now or by a task."""
        fast_path, asked, seen = self._fast_path, self._asked, self._seen
        authority, is_record = fast_path.authority, reply.__class__ is bytes
        decoded = fast_path.open(seen, reply) if is_record else None
        # Otherwise a token that has got a limit since would be read each time before it is charged.
        seen.until = 0.0
        if (reply is None and authority.may_lie_elsewhere) or (decoded is not None and decoded.limited):
            # The record may be stored under the previous server key, or as another system's secret, under another
            # digest; and a token with limits is read by the script that charges them.
            self._protocol.run_task(self._ask())
        elif decoded is None:
            self._finish(UNKNOWN if is_record or reply is None else UNAVAILABLE)
        elif (verdict := authority.evaluate(decoded, asked.required, self._address(), now)) is not decoded.active:
            authority.count(decoded, verdict, now, self._address(), asked.agent)
            self._finish(verdict)
        else:
            fast_path.remember(seen, decoded, reply, asked.required)
            return True
        return False

    def _spent(self, digest: bytes, reply: Reply, *, may_be_kept: bool = False) -> None:
        if reply and reply.__class__ is bytes:
            self._finish(self._fast_path.one_time.spent(digest, reply, may_be_kept=may_be_kept))
        elif isinstance(reply, StoreUnavailable):
            self._finish(UNAVAILABLE)
        else:
            self._protocol.run_task(self._ask())

    async def _ask(self) -> None:
        """Answer a request that needs more than one reply of Redis."""
        fast_path, asked = self._fast_path, self._asked
        try:
            if self.head.plan[0]:
                request = retried_request(self._headers, self._protocol.client, fast_path.trusted)
                secret = self._said(SPENT) or asked.secret
                verdict = await fast_path.one_time.consume(secret, request=request, required=asked.required)
            else:
                verdict = await fast_path.authority.verify(
                    self._secret, KINDS, required=asked.required, address=self._address(), agent=asked.agent
                )
        except StoreUnavailable:
            verdict = UNAVAILABLE
        self._finish(verdict)

    def _finish(self, verdict: Verdict, decoded: DecodedCredential | None = None) -> None:
        """Give any answer that `_answered` does not give. `decoded` is the record of a token with limits."""
        fast_path, credential, secret = self._fast_path, verdict.credential, self._secret
        kind = self._seen.kind or parse(secret) if credential is None else credential.kind
        fast_path.validations[kind or NO_KIND, verdict.outcome] += 1
        # Without a secret Redis was not asked, and the histogram would seem faster than Redis is.
        if secret:
            fast_path.observe(seconds := perf_counter() - self._started)
            if (place := self.head.trace_at) is not None:
                fast_path.show_trace(self.pieces[place], seconds)
        request_id = self._request_id()
        if decoded is not None and verdict.active:
            lines = decoded.lines or fast_path.allowed_lines(decoded)
            self._write(200, quota_line(verdict.quotas) + lines if verdict.quotas else lines, request_id)
        elif credential is not None and verdict.active and not verdict.quotas:
            self._write(200, allowed_lines(credential), request_id)
        else:
            status, lines, body = self._refusal(verdict, request_id)
            self._write(status, lines, request_id, body)
        self.head, self.pieces, self._asked, self._seen = NO_HEAD, (), _NOTHING, _UNSEEN

    @property
    def _secret(self) -> bytes:
        """The only secret that the request presents; empty without one."""
        asked = self._asked
        return asked.secret if asked.place is None else self.pieces[asked.place]

    def _refusal(self, verdict: Verdict, request_id: bytes) -> tuple[int, bytes, bytes]:
        """The status, the header lines up to the request id, and the body."""
        prepared = self._fast_path.refusals.get(verdict.outcome)
        if prepared is not None:
            return prepared.status, prepared.lines(request_id), b"".join((prepared.before, request_id, prepared.after))
        status, headers, body = answer(verdict, request_id.decode(), basic=self._fast_path.accepted.basic)
        return status, lines_of(headers) + REQUEST_ID, body


def _alone(named: dict[bytes, bytes], *, spends: bool) -> bytes:
    """The secret if exactly one field presents one and it needs no more parsing, else empty."""
    field, key, token = named.get(b"authorization"), named.get(b"x-api-key"), named.get(b"x-token")
    if spends and not _ELSEWHERE.isdisjoint(named):
        return b""
    if field is None:
        alone = token if key is None else key
        return alone.strip() if alone is not None and (key is None or token is None) else b""
    return field[7:].strip() if field[:7] == b"Bearer " and key is None and token is None else b""
