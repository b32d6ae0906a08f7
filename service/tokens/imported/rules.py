"""Which part of a presented string another system hashed, and the digests of a lookup by all rules in use."""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256, sha512
from typing import NamedTuple

from service.errors import wrong
from service.keyring import Keyring

# For an unknown secret each rule costs a lookup one digest and one round trip.
MOST_RULES = 8
_HASHES = {"sha256": sha256, "sha512": sha512}
_WITH_TEXT = re.compile(r"(after|before|prefix):[!-~]{1,32}\Z")
# Any form, including our own. A token imported as a digest may be shorter than a secret imported in clear.
_PRESENTED = re.compile(rb"[!-~]{1,1024}")
_OF_CLEAR = ("whole", "after", "before")


class Rule(NamedTuple):
    """An algorithm and its input: `whole`, `after:T`, `before:T`, `prefix:T`, `bytes` or `suffix`."""

    algorithm: str
    of: str

    def __str__(self) -> str:
        return f"{self.algorithm} {self.of}"

    def kept_of(self, secret: bytes, suffix: bytes) -> bytes | None:
        """The digest that the other system would have for this token, None if the rule does not apply.

        Without the text, `after` and `before` apply to the whole, because some clients leave that part out.
        """
        part = _part_of(self.of, secret, suffix)
        return None if part is None else _HASHES[self.algorithm](part).digest()


WHOLE = Rule("sha256", "whole")


# Called for each row, and most rows follow one rule.
@lru_cache(64)
def rule_of(algorithm: str, of: str, *, is_clear: bool) -> Rule:
    """The rule of a row; for a secret in clear only one that names a part of it. Raises InvalidRequest."""
    name = of.partition(":")[0]
    if of not in ("whole", "bytes", "suffix") and not _WITH_TEXT.match(of):
        raise wrong("of", "give whole, after:TEXT, before:TEXT, prefix:TEXT, bytes or suffix")
    if is_clear and name not in _OF_CLEAR:
        raise wrong("of", f"{name} belongs to a digest; beside a secret in clear give whole, after:TEXT or before:TEXT")
    return Rule(algorithm, of)


def _part_of(of: str, secret: bytes, suffix: bytes) -> bytes | None:
    name, _, text = of.partition(":")
    match name:
        case "whole":
            return secret
        case "after":
            return secret.partition(text.encode())[2] or secret
        case "before":
            return secret.partition(text.encode())[0] or secret
        case "prefix":
            return text.encode() + secret
        case "suffix":
            return secret + suffix if suffix else None
    try:
        return bytes.fromhex(secret.decode())
    except ValueError:
        return None


def _read(text: str) -> Rule:
    """A rule from the text that `str` writes."""
    return Rule(*text.split(" ", 1))


class ImportedSecrets:
    """The digests under which a secret of another system may be stored here.

    `rules`: the rules that tokens here follow, as last read from Redis. `unread`: they could not be read yet, so an
    unknown secret may still exist.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.rules: tuple[Rule, ...] = ()
        self._texts = frozenset[str]()
        self.unread = False

    def learn(self, rules: Iterable[str], before: tuple[Rule, ...]) -> None:
        """Use these rules from now on, together with those added while they were being read.

        `before`: `rules` at the start of that reading.
        """
        since = set(self.rules) - set(before)
        self._follow({*map(_read, rules), *since})
        self.unread = False

    def add(self, rules: Iterable[str]) -> None:
        """Note that tokens with these rules were imported."""
        # Called for each row, and all rows of most imports follow one rule.
        if unknown := self._texts.union(rules) - self._texts:
            self._follow({*self.rules, *map(_read, unknown)})

    def _follow(self, rules: set[Rule]) -> None:
        self.rules, self._texts = tuple(sorted(rules)), frozenset(map(str, rules))

    def admit(self, rule: str) -> str:
        """Follow this rule too, until the rules are read again. Returns why that is impossible, else empty."""
        if rule.endswith(" suffix") and not self._keyring.import_suffix:
            return "Set TOKENS_IMPORT_SUFFIX to what the other system adds to a token before it makes the digest."
        if len(self.rules) >= MOST_RULES and rule not in self._texts:
            return f"Tokens here follow {MOST_RULES} rules of other systems already; a lookup tries no more."
        self.add((rule,))
        return ""

    def digest(self, rule: Rule, kept: bytes) -> bytes:
        """The digest stored here for what another system has by a rule."""
        return self._keyring.imported_digest(_message(rule, kept))

    def earlier_digests(self, rule: Rule, kept: bytes) -> list[bytes]:
        """The digest for it under the previous server key, if there is one."""
        return [keys.imported_digest(_message(rule, kept)) for keys in self._keyring.each[1:]]

    def digests(self, secret: bytes) -> list[bytes]:
        """All digests under which this secret may be stored, by the rules in use and both server keys; mostly none."""
        if not (self.rules or self.unread) or _PRESENTED.fullmatch(secret) is None:
            return []
        # Until the rules are read, only the most common rule is tried.
        kept = [(rule, rule.kept_of(secret, self._keyring.import_suffix)) for rule in self.rules or (WHOLE,)]
        messages = [_message(rule, found) for rule, found in kept if found is not None]
        return [keys.imported_digest(message) for message in messages for keys in self._keyring.each]


def _message(rule: Rule, kept: bytes) -> bytes:
    return f"{rule} ".encode() + kept
