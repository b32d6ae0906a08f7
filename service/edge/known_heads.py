"""Heads that mostly came before: each is worked out once under its bytes, and only where the parser reads the same."""

from __future__ import annotations

import asyncio
import re
from typing import Any, NamedTuple

from service.api.http.validate_paths import ENVOY, ONE_TIME, ONE_TIME_ENVOY, PLAIN, form_of
from service.edge.head import HEAD_BYTES, HEAD_FIELDS, HOSTS, UNUSUAL
from service.identifiers import REQUEST_ID_LENGTH, REQUEST_ID_SIGNS, is_request_id, only
from service.model import Kind
from service.tokens.secret import parse

Named = dict[bytes, bytes]
# Of a validation: does it spend a one-time token, and the query that may ask for scopes.
Plan = tuple[bool, bytes]
# Session and managed tokens, and no query of ours.
_ASKS: Plan = (False, b"")
_SPENDS: Plan = (True, b"")
_PLANS: dict[str | None, Plan] = {ENVOY: _ASKS, ONE_TIME: _SPENDS, ONE_TIME_ENVOY: _SPENDS}
# A byte as a number is found in a third of the time.
_FRAGMENT = ord("#")
# What nearly all clients and gateways write. What says more, or says it in another way, the parser reads.
_TARGET = re.compile(rb"(GET|HEAD) (/[A-Za-z0-9/?&=:._~%+,-]*)")
_VERSION = b" HTTP/1.1"
_FIELD = re.compile(rb"[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?")
_VISIBLE = only(bytes(range(ord("!"), ord("~") + 1)))
# With them these decide how a message is read, except where they say what goes without saying.
_DECISIVE = UNUSUAL | {b"connection", b"content-length", b"keep-alive", b"proxy-connection"}
_MEANINGLESS = frozenset(((b"connection", b"keep-alive"), (b"content-length", b"0")))
# What these say comes once: kept, it would only take the room of what comes again.
_ID = b"x-request-id"
_UNREPEATED = frozenset((_ID, b"x-tokens-retry-key", b"traceparent"))
# With what each client asks for these are all that differs between two requests of the same client.
_SAID_ONCE = (_ID, b"traceparent", b"x-tokens-retry-key", b"x-original-uri", b"x-forwarded-uri")
# So does a one-time token, of whose length no other token is.
SPENT, _SPENT_LENGTH = b"x-token", 32
# Signs and lengths, where not whatever is visible says the same.
_FORMS = {
    _ID: (REQUEST_ID_SIGNS, 1, REQUEST_ID_LENGTH),
    SPENT: (only(b"0123456789abcdef"), _SPENT_LENGTH, _SPENT_LENGTH),
}
_LINES_REMEMBERED = _HEADS_REMEMBERED = 4096
# A client may make a line as long as a head may be.
_LONGEST_REMEMBERED = 256
_LONGEST_HEAD_REMEMBERED = 1024
# Gateways send 9 to 16. Sixty take ten times the room of five, and all heads may come from one client.
_FIELDS_REMEMBERED = 24
_LET_GO_AT_ONCE = 256


def plan_of(url: bytes) -> Plan | None:
    """For a target of ours whether it spends a one-time token, and the query that may ask for scopes; else None."""
    # Before anything is taken apart: 90 ns for this one, 250 for one with a query.
    if url == b"/validate":
        return _ASKS
    path, _, query = url.partition(b"?")
    if _FRAGMENT in url:
        return None  # The ordinary way takes the fragment off.
    if path == b"/validate":
        return False, query
    if path.startswith(b"/validate/envoy/"):
        return _ASKS
    if path == b"/validate/one-time":
        return _SPENDS
    if not path.lstrip(b"/").startswith(b"validate"):
        return None
    form = form_of(path.decode("latin-1"))
    return (False, query) if form == PLAIN else _PLANS.get(form)


class Target(NamedTuple):
    """What a request line asks for; `plan` is what a validation is told of it, None for what is none.

    Two with the same `key` ask for the same.
    """

    head_only: bool
    url: bytes
    plan: Plan | None
    key: bytes


class _Targets(dict[bytes, Target]):
    """By the request line without its version; KeyError for a line that the parser is to read."""

    def __missing__(self, line: bytes) -> Target:
        found = _TARGET.fullmatch(line)
        if found is None:
            raise KeyError(line)
        method, url = found.groups()
        plan, key = plan_of(url), line
        if plan is not None:
            # Whatever Envoy's clients ask for, behind its path it is the same question.
            key = b"%b!" % method if plan is _SPENDS else b"%b?%b" % (method, plan[1])
        target = Target(method == b"HEAD", url, plan, key)
        if len(self) < _LINES_REMEMBERED and len(line) <= _LONGEST_REMEMBERED:
            self[line] = target
        return target


class _FieldLines(dict[bytes, tuple[bytes, bytes]]):
    """The name in lower case and the value; KeyError for a line that the parser is to read."""

    def __missing__(self, line: bytes) -> tuple[bytes, bytes]:
        name, _, value = line.partition(b": ")
        name = name.lower()
        is_unrepeated = name in _UNREPEATED or (name == SPENT and len(value) == _SPENT_LENGTH)
        if is_unrepeated and value and value.translate(_VISIBLE) == value:
            return name, value
        field = name, value
        if not _FIELD.fullmatch(line) or (name in _DECISIVE and field not in _MEANINGLESS):
            raise KeyError(line)
        if len(self) < _LINES_REMEMBERED and len(line) <= _LONGEST_REMEMBERED:
            self[line] = field
        return field


class Head:
    """A head that is plain, without what it says once: by which cycle it is answered, and what that is told.

    `asked` and `address` are kept here for that cycle: what it worked out of the fields, and the client's address as
    X-Forwarded-For tells it.
    """

    __slots__ = ("address", "asked", "head_only", "kind", "named", "plan")

    def __init__(self, kind: type[Any], plan: Any, named: Named, head_only: bool) -> None:
        """`named`: its fields by name, of which none occurs twice."""
        self.kind = kind
        self.plan = plan
        self.named = named
        self.head_only = head_only
        self.asked: Any = None
        self.address: str | None = None


def said_once(named: Named, plan: Any) -> Named:
    """Takes what a head says once out of its fields. A request id that is not passed on is as good as none."""
    once = {name: named.pop(name) for name in _SAID_ONCE if name in named}
    if not is_request_id(once.get(_ID, b"1")):
        del once[_ID]
    # Elsewhere it is no one-time token, whatever its form says.
    if plan is _SPENDS and parse(named.get(SPENT, b"")) is Kind.ONE_TIME:
        once[SPENT] = named.pop(SPENT)
    return once


class Mark(NamedTuple):
    """A field that is said once, as a gateway writes its name; a table of its signs, and how short and long it is."""

    opening: bytes
    name: bytes
    signs: bytes
    shortest: int
    longest: int

    @classmethod
    def of(cls, written: bytes, name: bytes) -> Mark:
        """`name` is `written` in lower case."""
        return cls(b"\r\n%b: " % written, name, *_FORMS.get(name, (_VISIBLE, 1, HEAD_BYTES)))


Marks = tuple[Mark, ...]
# By each of their names and what precedes it, and by what follows the last, a head is known.
Remaining = tuple[bytes, ...]
_NOTHING: tuple[Remaining, Named, None] = ((), {}, None)


class KnownHeads:
    """Reads heads that mostly came before: whole, except for what each says once, or else by their lines.

    Each is worked out once under its bytes. Reads only what the parser reads in just the same way.
    """

    def __init__(self) -> None:
        self._targets = _Targets()
        self._field_lines = _FieldLines()
        self._heads: dict[Remaining, Head] = {}

    def forget(self) -> None:
        """Let all heads and lines go: there are secrets in them."""
        self._targets.clear()
        self._field_lines.clear()
        passed, self._heads = self._heads, {}
        _let_go(passed)

    def find(self, packet: bytes, marks: Marks) -> tuple[Remaining, Named, Head | None]:
        """What remains of a packet without what it says once, that, and the head if it is known by what remains.

        `marks`: of the fields that say it. Nothing remains of what the parser is to read.
        """
        # Here too, because what is cut out is not among what is remembered.
        if len(packet) > HEAD_BYTES:
            return _NOTHING
        line, _, rest = packet.partition(_VERSION)
        try:
            remaining = [self._targets[line].key]
        except KeyError:
            return _NOTHING
        once: Named = {}
        for opening, name, signs, shortest, longest in marks:
            before, found, after = rest.partition(opening)
            if found:
                # The end of the line stays, because the next of them may begin there.
                end = after.find(b"\r\n")
                value = after[:end]
                if shortest <= end <= longest and value.translate(signs) == value:
                    once[name], rest = value, after[end:]
                    remaining += before, name
        remaining.append(rest)
        known = tuple(remaining)
        return known, once, self._heads.get(known)

    def keep(self, remaining: Remaining, head: Head) -> None:
        """Know a head by what `find` said that remains of it: nothing that is said once."""
        is_small = len(head.named) <= _FIELDS_REMEMBERED and sum(map(len, remaining)) <= _LONGEST_HEAD_REMEMBERED
        if is_small and len(self._heads) < _HEADS_REMEMBERED:
            self._heads[remaining] = head

    def read(self, packet: bytes) -> tuple[Target, Named] | None:
        """Of a request without a body that is this packet, no less and no more: its target, and its fields by name;
        None for anything else, and for what the parser is to read.
        """
        if packet[-4:] != b"\r\n\r\n" or len(packet) > HEAD_BYTES:
            return None
        line, _, rest = packet.partition(_VERSION)
        lines = rest.split(b"\r\n")
        try:
            target = self._targets[line]
            named = dict(map(self._field_lines.__getitem__, lines[1:-2]))
        except KeyError:
            return None
        # Three pieces are no fields: what is left of the request line, which is nothing, and two empty ones at the end.
        # With fewer names, one came twice.
        is_plain = len(named) == len(lines) - 3 <= HEAD_FIELDS and not lines[0] and HOSTS[named.get(b"host", b"")]
        return (target, named) if is_plain else None


def _let_go(heads: dict[Remaining, Head]) -> None:
    """Some, and then others have a turn: all that a second may bring takes three milliseconds."""
    for _ in range(min(_LET_GO_AT_ONCE, len(heads))):
        heads.popitem()
    if heads:
        asyncio.get_running_loop().call_soon(_let_go, heads)


def marks_of(packet: bytes, once: Named) -> Marks:
    """The marks of what a head says once, in the order in which this packet has them."""
    written = [line.partition(b": ")[0] for line in packet.split(b"\r\n")]
    return tuple(Mark.of(name, name.lower()) for name in written if name.lower() in once)
