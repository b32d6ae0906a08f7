"""Accounts: who may sign in, from a TOML file that holds argon2id hashes and never a password."""

import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import msgspec

from service.errors import place_and_reason
from service.keyring import Keyring
from service.model import Role
from service.tokens.accounts.passwords import is_verifiable


class AccountsError(Exception):
    """The accounts file cannot be used; the message is one line that names the file and what to do."""


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table `[accounts.NAME]` of the file."""

    password_hash: str
    role: Role = Role.USER
    disabled: bool = False


def read_accounts(path: Path) -> dict[str, Account]:
    """The accounts of a file by name. Raises AccountsError, also for a password in clear."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text)
    except OSError as error:
        raise AccountsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AccountsError(f"{path}: not a TOML file: {error}") from None
    tables = document.get("accounts", {})
    # Anything else is refused, because a misspelled table would silently leave an account out.
    if not isinstance(tables, dict) or set(document) - {"accounts"}:
        raise AccountsError(f"{path}: write one table [accounts.NAME] for each account and nothing else")
    accounts = {name: _read_account(path, name, table) for name, table in tables.items()}
    for name, account in accounts.items():
        if not is_verifiable(account.password_hash):
            raise AccountsError(
                f"{path}: line {_line_of(text, name, account.password_hash)}: account {name}: password_hash is not "
                "argon2id as `token-service accounts hash` prints it: nobody could sign in with it"
            )
    return accounts


def lack_of(path: Path, accounts: Mapping[str, Account]) -> str:
    """A warning about a file without an administrator, such as one cut short on a full disk; empty if it has one."""
    if any(account.role is Role.ADMIN and not account.disabled for account in accounts.values()):
        return ""
    return f"{path} has no administrator: token-service accounts add NAME --role admin"


def _line_of(text: str, name: str, value: str) -> int:
    """The number of the line with an account's value, else of the first line with its name."""
    # Searched in the text, because tomllib does not report positions of values.
    lines = text.splitlines()
    named = next((place for place, line in enumerate(lines) if name in line), 0)
    return next((place for place, line in enumerate(lines) if place >= named and value in line), named) + 1


def _read_account(path: Path, name: str, table: object) -> Account:
    if name == "-":
        raise AccountsError(f"{path}: account -: choose another name, because in header fields - stands for nobody")
    if isinstance(table, dict) and "password" in table:
        raise AccountsError(
            f"{path}: account {name} has a password in clear: run `token-service accounts hash` and put the line it "
            "prints in its place"
        )
    try:
        return msgspec.convert(table, Account)
    except msgspec.ValidationError as error:
        member, reason = place_and_reason(error, Account)
        raise AccountsError(f"{path}: account {name}: {f'{member}: ' if member else ''}{reason}") from None


class Accounts:
    """The accounts in force. A session carries a mark of the password it was made with, so a new password ends it."""

    def __init__(self, accounts: Mapping[str, Account], keyring: Keyring) -> None:
        self._keyring = keyring
        self._accounts: dict[str, Account] = {}
        self._spellings: dict[str, str] = {}
        self._password_marks: dict[str, str] = {}
        self.replace(accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def get(self, name: str) -> Account | None:
        """The account of this name if it may sign in, else None."""
        account = self._accounts.get(name)
        return None if account is None or account.disabled else account

    def items(self) -> list[tuple[str, Account]]:
        """All accounts by name, including disabled ones."""
        return sorted(self._accounts.items())

    def shown(self, username: str) -> str:
        """A name for the log: an account's name as in the file; others, maybe mistyped secrets, as a digest."""
        normal = normalise(username)
        return self._spellings.get(normal) or f"unknown:{self._keyring.pseudonym('unknown', normal)[:6].hex()}"

    def mark_of(self, name: str, account: Account) -> str:
        """The mark of an account's password, whether the account is in force or not."""
        return self._keyring.pseudonym("account", name, account.password_hash)[:8].hex()

    def password_mark(self, name: str) -> str | None:
        """The mark that a session of this account must carry now; None if it may have no session."""
        return self._password_marks.get(name)

    def pseudonym(self, username: str) -> bytes:
        """The user's key in Redis, which does not contain the name."""
        return self.pseudonyms(username)[0]

    def pseudonyms(self, username: str) -> list[bytes]:
        """The user's possible keys in Redis, the present one first. While the server key changes, a process that has
        the other key as its present one uses another pseudonym.
        """
        return self._keyring.pseudonyms("user", normalise(username))

    def replace(self, accounts: Mapping[str, Account]) -> list[str]:
        """Put new accounts in force. Returns the names whose sessions end by this."""
        self._accounts = dict(accounts)
        # A client may write a name in any way; the log shows it as the file has it.
        self._spellings = {normalise(name): name for name in accounts}
        password_marks = {
            name: self.mark_of(name, account) for name, account in accounts.items() if not account.disabled
        }
        ended = [
            name for name, password_mark in self._password_marks.items() if password_marks.get(name) != password_mark
        ]
        self._password_marks = password_marks
        return ended

    def any_hash(self) -> str | None:
        """Any password hash of the file, because the decoy for an unknown name must cost as much to check."""
        return next((account.password_hash for account in self._accounts.values()), None)


def normalise(username: str) -> str:
    """The form under which a name is counted: case, width, spaces and invisible characters make no new name."""
    folded = unicodedata.normalize("NFKC", username).casefold()
    return "".join(sign for sign in folded if not sign.isspace() and unicodedata.category(sign)[0] != "C")[:128]
