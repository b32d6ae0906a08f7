"""What of a presented string another system kept a digest of, and the digests of a lookup by all rules in use."""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256, sha512
from typing import NamedTuple

from service.errors import wrong
from service.keyring import Keyring

# Each costs a lookup of a secret that is not ours a digest and a round trip.
MOST_RULES = 8
_HASHES = {"sha256": sha256, "sha512": sha512}
_WITH_TEXT = re.compile(r"(after|before|prefix):[!-~]{1,32}\Z")
# Any form, also that of ours; one of which only the digest came in may be shorter than what is taken in clear.
_PRESENTED = re.compile(rb"[!-~]{1,1024}")
_OF_CLEAR = ("whole", "after", "before")


class Rule(NamedTuple):
    """An algorithm, and what it was applied to: `whole`, `after:T`, `before:T`, `prefix:T`, `bytes` or `suffix`."""

    algorithm: str
    of: str

    def __str__(self) -> str:
        return f"{self.algorithm} {self.of}"

    def kept_of(self, secret: bytes, suffix: bytes) -> bytes | None:
        """What the other system kept if this is its token, None where the rule has nothing to go by.

        `after` and `before` stand for the whole where the text is not in it: some clients leave that part out.
        """
        part = _part_of(self.of, secret, suffix)
        return None if part is None else _HASHES[self.algorithm](part).digest()


WHOLE = Rule("sha256", "whole")


# Asked row by row, of which most follow one rule.
@lru_cache(64)
def rule_of(algorithm: str, of: str, *, is_clear: bool) -> Rule:
    """The rule of a row; of a secret in clear only what a part of it can be. Raises InvalidRequest."""
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
    """A rule as `str` writes it."""
    return Rule(*text.split(" ", 1))


class ImportedSecrets:
    """Under which digests a secret of another system may be stored here.

    `rules`: those that tokens here follow, as last read from Redis. `unread`: it could not be asked yet, so that a
    secret which is not found may still be there.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.rules: tuple[Rule, ...] = ()
        self._texts = frozenset[str]()
        self.unread = False

    def learn(self, rules: Iterable[str], before: tuple[Rule, ...]) -> None:
        """Take these for the rules in use from now on, with those that came since they were asked for.

        `before`: `rules` as they were then.
        """
        since = set(self.rules) - set(before)
        self._follow({*map(_read, rules), *since})
        self.unread = False

    def add(self, rules: Iterable[str]) -> None:
        """Tokens that follow these rules were taken in."""
        # Asked row by row: all rows of most imports follow one rule.
        if unknown := self._texts.union(rules) - self._texts:
            self._follow({*self.rules, *map(_read, unknown)})

    def _follow(self, rules: set[Rule]) -> None:
        self.rules, self._texts = tuple(sorted(rules)), frozenset(map(str, rules))

    def admit(self, rule: str) -> str:
        """Follow this rule, too, until the rules are read again; if that cannot be, why, in words."""
        if rule.endswith(" suffix") and not self._keyring.import_suffix:
            return "Set TOKENS_IMPORT_SUFFIX to what the other system adds to a token before it makes the digest."
        if len(self.rules) >= MOST_RULES and rule not in self._texts:
            return f"Tokens here follow {MOST_RULES} rules of other systems already; a lookup tries no more."
        self.add((rule,))
        return ""

    def digest(self, rule: Rule, kept: bytes) -> bytes:
        """What is stored here for what another system kept by a rule."""
        return self._keyring.imported_digest(_message(rule, kept))

    def earlier_digests(self, rule: Rule, kept: bytes) -> list[bytes]:
        """What was stored for it under the previous server key, if there is one."""
        return [keys.imported_digest(_message(rule, kept)) for keys in self._keyring.each[1:]]

    def digests(self, secret: bytes) -> list[bytes]:
        """All under which this secret may be stored, by the rules in use and either server key; in most cases none."""
        if not (self.rules or self.unread) or _PRESENTED.fullmatch(secret) is None:
            return []
        # Rules that could not be read yet are taken for the commonest one.
        kept = [(rule, rule.kept_of(secret, self._keyring.import_suffix)) for rule in self.rules or (WHOLE,)]
        messages = [_message(rule, found) for rule, found in kept if found is not None]
        return [keys.imported_digest(message) for message in messages for keys in self._keyring.each]


def _message(rule: Rule, kept: bytes) -> bytes:
    return f"{rule} ".encode() + kept
