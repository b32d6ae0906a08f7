"""A cache of heads by their bytes. It reads only such heads as the parser would read in the same way."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from service.api.http.validate_paths import ENVOY_PATH, SPENDS, Plan, plan_of
from service.edge.head import HEAD_BYTES, HEAD_FIELDS, HOSTS, UNUSUAL
from service.identifiers import REQUEST_ID_LENGTH, is_request_id, only
from service.model import Kind
from service.tokens.secret import parse

Named = dict[bytes, bytes]
# What nearly all clients and gateways write. Everything else is left to the parser.
_TARGET_SIGNS = rb"[A-Za-z0-9/?&=:._~%+,-]"
_TARGET = re.compile(rb"(GET|HEAD) (/%b*)" % _TARGET_SIGNS)
_VERSION = b" HTTP/1.1"
_FIELD = re.compile(rb"[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?")
_VISIBLE = only(bytes(range(ord("!"), ord("~") + 1)))
# All fields that decide how a message is read. With the values in `_MEANINGLESS` they change nothing.
_DECISIVE = UNUSUAL | {b"connection", b"content-length", b"keep-alive", b"proxy-connection"}
_MEANINGLESS = frozenset(((b"connection", b"keep-alive"), (b"content-length", b"0")))
# The values of these fields differ from request to request: cached, they would only take room from what comes again.
_ID, _TRACE = b"x-request-id", b"traceparent"
_UNREPEATED = frozenset(
    b"x-request-id x-correlation-id x-tokens-retry-key traceparent tracestate b3 x-b3-traceid x-b3-spanid cf-ray "
    b"x-b3-parentspanid x-amzn-trace-id x-cloud-trace-context x-datadog-trace-id x-datadog-parent-id".split()
)
# What a head "says once" are the values in which requests of the same kind differ: these fields and client addresses.
SAID_ONCE = _UNREPEATED | {b"x-original-uri", b"x-forwarded-uri"}
FORWARDED = b"x-forwarded-for"
# A one-time token is said once, too. Its length distinguishes it from other tokens.
SPENT, _SPENT_LENGTH = b"x-token", 32
# The fields that present the secret of a managed token or a session, and what precedes the secret in the value. Secrets
# are cached apart from heads, because a gateway writes the same head around all secrets.
SECRETS = {b"authorization": b"Bearer ", b"x-api-key": b"", SPENT: b""}
_SECRET = b"(?:rtk_[0-9a-f]{64}|[A-Za-z0-9]{64})"
_HELD = re.compile(_SECRET)
# Longer ones are not cached: a client may send a line as long as a whole head.
_LONGEST_REMEMBERED, _LONGEST_HEAD_REMEMBERED = 256, 1024
# With all such values, an Envoy target of the same length, addresses and a secret (256) a head stays within its limit.
_LONGEST_SAID = (HEAD_BYTES - _LONGEST_HEAD_REMEMBERED - 256) // (len(SAID_ONCE) + 1)
# The characters of a value. Possessive quantifiers, as everywhere in a layout: if the line does not end behind the
# value, the match fails without trying a shorter value.
_FORM = b"[!-~]{1,%d}+" % _LONGEST_SAID
_FORMS = {
    _ID: b"[A-Za-z0-9._-]{1,%d}+" % REQUEST_ID_LENGTH,
    b"authorization": _SECRET,
    b"x-api-key": _SECRET,
    SPENT: _SECRET,
    FORWARDED: b"[0-9A-Fa-f:.]{1,40}+(?:, [0-9A-Fa-f:.]{1,40}+){0,2}+",
}
_ADDRESSES = re.compile(_FORMS[FORWARDED])
_SPENT_FORM = b"[0-9a-f]{%d}" % _SPENT_LENGTH
_LINES_REMEMBERED = _HEADS_REMEMBERED = 4096
# Gateways send 9 to 16 fields. Sixty take ten times the memory of five, and all heads may come from one client.
_FIELDS_REMEMBERED = 24
_LAYOUTS_A_SECOND = 32


class Target(NamedTuple):
    """What a request line asks for. `plan` says how a validation reads it; None if it is no validation."""

    head_only: bool
    url: bytes
    plan: Plan | None
    is_envoys: bool


class _Targets(dict[bytes, Target]):
    """A cache by the request line without its version. Raises KeyError for a line that the parser must read."""

    def __missing__(self, line: bytes) -> Target:
        found = _TARGET.fullmatch(line)
        if found is None:
            raise KeyError(line)
        method, url = found.groups()
        target = Target(method == b"HEAD", url, plan_of(url), url.startswith(ENVOY_PATH))
        if len(self) < _LINES_REMEMBERED and len(line) <= _LONGEST_REMEMBERED:
            self[line] = target
        return target


class _FieldLines(dict[bytes, tuple[bytes, bytes]]):
    """A cache of names in lower case and values by line. Raises KeyError for a line that the parser must read."""

    def __missing__(self, line: bytes) -> tuple[bytes, bytes]:
        name, _, value = line.partition(b": ")
        name = name.lower()
        if _holds(name, value):
            return name, value
        is_unrepeated = name in _UNREPEATED or (name == SPENT and len(value) == _SPENT_LENGTH)
        if is_unrepeated and value and value.translate(_VISIBLE) == value:
            return name, value
        field = name, value
        if not _FIELD.fullmatch(line) or (name in _DECISIVE and field not in _MEANINGLESS):
            raise KeyError(line)
        if len(self) < _LINES_REMEMBERED and len(line) <= _LONGEST_REMEMBERED:
            self[line] = field
        return field


def _holds(name: bytes, value: bytes) -> bool:
    """True if a field holds the secret of a managed token or a session, written as nearly all clients write it."""
    before = SECRETS.get(name)
    return before is not None and value.startswith(before) and _HELD.fullmatch(value, len(before)) is not None


Pieces = tuple[bytes, ...]
# By the name of each field that is said once: the index of its value in the pieces of a request.
Places = dict[bytes, int]


class Head:
    """A plain head without what it says once: the `kind` of cycle that answers it, the `plan` which that cycle gets,
    and in `asked` what the cycle has derived from the fields.
    """

    __slots__ = ("asked", "forwarded_at", "head_only", "hops", "id_at", "kind", "named", "places", "plan", "trace_at")

    def __init__(self, kind: type[Any], plan: Any, named: Named, places: Places, *, head_only: bool) -> None:
        """`named`: the fields by name; no name occurs twice."""
        self.kind, self.plan, self.head_only = kind, plan, head_only
        self.named, self.places = named, places
        # Found once for the head, because every request with it needs them.
        self.id_at, self.trace_at, self.forwarded_at = places.get(_ID), places.get(_TRACE), places.get(FORWARDED)
        # The value of X-Forwarded-For, if it is not just up to three addresses.
        self.hops = named.get(FORWARDED)
        self.asked: Any = None

    @classmethod
    def alone(cls, kind: type[Any], plan: Any, named: Named, once: Named, *, head_only: bool) -> tuple[Head, Pieces]:
        """A head that is not cached, and as its pieces all values that it says once."""
        places = {name: place for place, name in enumerate(once)}
        return cls(kind, plan, named, places, head_only=head_only), tuple(once.values())


# The head of a cycle that has nothing to answer.
NO_HEAD = Head(object, None, {}, {}, head_only=False)


def said_once(named: Named, plan: Any) -> Named:
    """Remove from the fields what a head says once, and return that. A request id that is not passed on is dropped."""
    once = {name: named.pop(name) for name in [*named] if name in SAID_ONCE}
    if not is_request_id(once.get(_ID, b"1")):
        del once[_ID]
    if _ADDRESSES.fullmatch(named.get(FORWARDED, b"")):
        once[FORWARDED] = named.pop(FORWARDED)
    # At any other path it is no one-time token, whatever its form.
    if plan is SPENDS:
        if parse(named.get(SPENT, b"")) is Kind.ONE_TIME:
            once[SPENT] = named.pop(SPENT)
    elif plan.__class__ is tuple:
        # Only the first secret: the cycle finds out whether the remaining fields present another one.
        held = next((name for name in SECRETS if name in named and _holds(name, named[name])), None)
        if held is not None:
            once[held] = named.pop(held)[len(SECRETS[held]) :]
    return once


# A field that says something once: its name as the client writes it, and the pattern of its value.
Written = tuple[bytes, bytes]


class Layout:
    """Where a gateway's heads hold what they say once: a pattern that takes a head apart there, and each field's place.

    The first piece and every second one after it are the text between these values: the key of the head. `key` and
    `head` are those of the last packet, mostly those of the next, too. If a secret is all that is said once, `length`
    is the length of that packet, else 0, and `spent` matches one-time tokens if the secret is one.
    """

    __slots__ = ("head", "is_envoys", "is_of_secret", "key", "length", "places", "secret_length", "spent", "take_apart")

    def __init__(self, written: tuple[Written, ...], lines: list[int], *, is_envoys: bool) -> None:
        """`lines`: the line number of each field. What follows Envoy's path in a target is said once, and ignored."""
        # Atomic groups: in a head that repeats a name, the match does not try each occurrence. A name mostly stands as
        # many lines behind the one before as it did in the first head, and is found there faster.
        line = rb"[^\r]*+\r\n"
        each = rb"(?>(%b(?:%b%b|(?:%b)*?%b))(%b))"
        pattern = rb"((?:GET|HEAD) %b)(%b{0,%d}+)" % (ENVOY_PATH, _TARGET_SIGNS, _LONGEST_SAID) if is_envoys else b""
        end, last = b" HTTP/1" if is_envoys else b"", -1
        self.places: Places = {}
        self.is_envoys = is_envoys
        self.key: Pieces = ()
        self.head: Head | None = None
        self.length = self.secret_length = 0
        for (word, form), number in zip(written, lines, strict=True):
            name = word.lower()
            sought = re.escape(b"%b: %b" % (word, SECRETS.get(name, b"")))
            pattern += each % (end, line * (number - last - 1), sought, line, sought, form)
            end, last = rb"\r\n", number
            self.places[name] = 2 * (len(self.places) + is_envoys) + 1
        self.is_of_secret = len(written) == 1 and not is_envoys and self.places.keys() <= SECRETS.keys()
        self.spent = re.compile(_SPENT_FORM).fullmatch if self.is_of_secret and written[0][1] is _SPENT_FORM else None
        self.take_apart = re.compile(b"%b(%b.*)" % (pattern, end), re.DOTALL).fullmatch


NOTHING_SAID = Layout((), [], is_envoys=False)


class KnownHeads:
    """Finds a head in the cache by everything except what it says once, or else reads it by its lines."""

    def __init__(self) -> None:
        self._targets = _Targets()
        self._field_lines = _FieldLines()
        self._layouts: dict[tuple[bool | Written, ...], Layout] = {}
        # Heads by their key (see `Layout`), and the layouts that refer to one of these heads.
        self._heads: dict[Pieces, Head] = {}
        self._holding: list[Layout] = []

    def forget(self) -> dict[Pieces, Head]:
        """Forget all lines and heads, which hold secrets. Returns the heads, for the caller to free."""
        self._targets.clear()
        self._field_lines.clear()
        self._layouts.clear()
        for layout in self._holding:
            layout.key, layout.head, layout.length = (), None, 0
        self._holding.clear()
        passed, self._heads = self._heads, {}
        return passed

    def find(self, packet: bytes, layout: Layout, seen: dict[bytes, Any]) -> tuple[Pieces, Head | None]:
        """The pieces of a packet, and its head or None if that is not cached; no pieces if the layout does not fit."""
        if len(packet) == layout.length:
            before, behind = layout.key
            secret = packet.removeprefix(before).removesuffix(behind)
            # The length is right only if both were removed, and a secret of a known kind has the right form.
            if len(secret) == layout.secret_length and (
                layout.spent(secret) if layout.spent else (known := seen[secret]) and known.kind
            ):
                return (before, secret, behind), layout.head
        take_apart = layout.take_apart
        if (found := take_apart(packet)) is None:
            return (), None
        pieces = found.groups()
        key = pieces[::2]
        if key == layout.key:
            return pieces, layout.head
        if (head := self._heads.get(key)) is not None:
            if layout.head is None:
                self._holding.append(layout)
            layout.key, layout.head = key, head
            if layout.is_of_secret:
                layout.length, layout.secret_length = len(packet), len(pieces[1])
        return pieces, head

    def layout_of(self, packet: bytes, once: Named, *, is_envoys: bool) -> Layout:
        """The layout of a packet that says `once` once."""
        names = [line.partition(b": ")[0] for line in packet.split(b"\r\n")]
        marked = [(line, name) for line, name in enumerate(names) if name.lower() in once]
        written = tuple([(name, _form(name.lower(), once)) for _, name in marked])
        found = self._layouts.get((is_envoys, *written))
        if found is None:
            # A pattern is slow to compile, and a client could write the names in another way in each request.
            if len(self._layouts) >= _LAYOUTS_A_SECOND:
                return NOTHING_SAID
            found = self._layouts[is_envoys, *written] = Layout(written, [at for at, _ in marked], is_envoys=is_envoys)
        return found

    def keep(self, pieces: Pieces, head: Head) -> None:
        """Cache a head under those of its pieces that make its key: nothing that is said once."""
        key = pieces[::2]
        is_small = len(head.named) <= _FIELDS_REMEMBERED and sum(map(len, key)) <= _LONGEST_HEAD_REMEMBERED
        if is_small and len(self._heads) < _HEADS_REMEMBERED:
            self._heads[key] = head

    def read(self, packet: bytes) -> tuple[Target, Named] | None:
        """The target and the fields by name of a packet that is exactly one request without a body.

        None for any other packet, and for a request that is left to the parser.
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
        # Three of the lines are no fields: the empty rest of the request line, and two empty ones at the end. With
        # fewer names than fields, one occurs twice.
        is_plain = len(named) == len(lines) - 3 <= HEAD_FIELDS and not lines[0] and HOSTS[named.get(b"host", b"")]
        return (target, named) if is_plain else None


def _form(name: bytes, once: Named) -> bytes:
    if name == SPENT and len(once[name]) == _SPENT_LENGTH:
        return _SPENT_FORM
    return _FORMS.get(name, _FORM)
