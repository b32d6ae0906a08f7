"""The form of a secret, in words that repeat nothing of it, and the typing error that may have caused it."""

from collections.abc import Iterator, Sequence
from functools import partial

from service.model import Kind
from service.tokens.secret import parse

_PREFIX = b"rtk_"
# rtk_, 56 hex digits, and their checksum in 8.
_SIZE = 68
_HEX = b"0123456789abcdef"
_DIGITS = [b"%c" % digit for digit in _HEX]
# None of these letters is a hex digit, so a digit must be meant.
_LOOKALIKES = bytes.maketrans(b"oOlI", b"0011")
WORDS = {Kind.MANAGED: "a managed token", Kind.SESSION: "a session token", Kind.ONE_TIME: "a one-time token"}


def form_of_secret(secret: bytes) -> str:
    """The form in words: prefix, length, and the likely mistake."""
    kind = parse(secret)
    if kind is not None:
        hint = " It would be a managed token if rtk_ stood before it." if is_managed(_PREFIX + secret) else ""
        return f"It has the form of {WORDS[kind]}, {len(secret)} characters.{hint}"
    prefix = "begins with rtk_" if secret.startswith(_PREFIX) else "does not begin with rtk_"
    return f"It {prefix} and has {len(secret)} characters: {_typing_error(secret)}."


def is_managed(secret: bytes) -> bool:
    """True for a managed token's secret with a correct checksum."""
    return parse(secret) is Kind.MANAGED


def _typing_error(secret: bytes) -> str:
    for wrong, mended in _wrapped(secret):
        if parse(mended) is not None:
            return wrong
    if secret.startswith(b"****"):
        return "it is the masked form that lists show, not the secret"
    if not secret.startswith(_PREFIX):
        if secret.count(b".") == 2:
            return "it has the form of a JWT, which is no token of this service"
        return "no token of this service has this form"
    if len(secret) not in (_SIZE - 1, _SIZE, _SIZE + 1):
        return f"a managed token has {_SIZE}; it is {'cut off' if len(secret) < _SIZE else 'too long'}"
    for wrong, tries in _SLIPS.get(len(secret), ()):
        if any(map(is_managed, tries(secret))):
            return f"the checksum is wrong, and {wrong}"
    if secret[len(_PREFIX) :].translate(None, _HEX):
        return "behind rtk_ there are characters other than 0-9 and a-f"
    return "the checksum is wrong: more than one character is mistyped, or it was never issued"


def _wrapped(secret: bytes) -> Iterator[tuple[str, bytes]]:
    """What may have been copied or typed along with a correct secret, and the secret without it."""
    yield "the word Bearer is part of it; the header says it once", secret.removeprefix(b"Bearer ").strip()
    yield "the header's name is part of it", secret.rpartition(b":")[2].replace(b"Bearer", b"").strip()
    yield "quotation marks are part of it", secret.strip(b"\"'`")
    yield "blanks or line breaks are inside it", b"".join(secret.split())
    yield "it is written in capital letters", secret.lower()
    yield "the letters o, l or I stand for the digits 0 or 1", _PREFIX + secret[4:].translate(_LOOKALIKES)


def _swapped(secret: bytes) -> Iterator[bytes]:
    for place in range(len(_PREFIX), len(secret) - 1):
        yield secret[:place] + secret[place + 1 : place + 2] + secret[place : place + 1] + secret[place + 2 :]


def _edited(secret: bytes, taken: int, put: Sequence[bytes]) -> Iterator[bytes]:
    """The secret with `taken` characters at each place replaced by each of these."""
    for place in range(len(_PREFIX), len(secret) + 1 - taken):
        for digit in put:
            # At most a thousand tries, which take less than two milliseconds.
            yield secret[:place] + digit + secret[place + taken :]


# By the length of the typed secret: the single slips that lead to it, the likelier ones first.
_SLIPS = {
    _SIZE: (
        ("two neighbouring characters are swapped", _swapped),
        ("one character is mistyped", partial(_edited, taken=1, put=_DIGITS)),
    ),
    _SIZE - 1: (("one character is missing", partial(_edited, taken=0, put=_DIGITS)),),
    _SIZE + 1: (("one character is too many", partial(_edited, taken=1, put=[b""])),),
}
