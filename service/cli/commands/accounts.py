"""`accounts`: edits the file of those who may sign in, and keeps everything else that people wrote there."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from service.cli.client.answers import AccountList, Item
from service.cli.client.http import connect
from service.cli.failure import Failure, WrongUsage, failing
from service.cli.serve.first_start import accounts_path
from service.cli.terminal.new_password import read_new_hash, short_option
from service.cli.terminal.options import filled
from service.cli.terminal.report import Report, ReportGroup, line, said, table
from service.model import Role
from service.settings import SettingsError, read
from service.tokens.accounts.accounts import Account, AccountsError, read_accounts
from service.user_files import is_missing, write_private

# Names appear in headers and URLs.
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")


@click.group(cls=ReportGroup)
def accounts() -> None:
    """Edit the accounts that may sign in.

    They are in TOKENS_ACCOUNTS_FILE, or beside the data of the Redis that `serve` starts. A running service
    reads the file again on SIGHUP, and at its next start.
    """


@accounts.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.USER.value,
    show_default=True,
    help="admin changes tokens, viewer reads them, user only holds sessions.",
)
@short_option
def add_account(name: str, role: str, allow_short: bool) -> Report:
    """Add an account.

    Asks for the password, or reads it from standard input.
    """
    if not _NAME.fullmatch(name):
        raise WrongUsage("a name has 1 to 64 of A-Z a-z 0-9 . _ @ + -")
    path = _path()
    # Read before the question, because nobody should type a password for a file that cannot be read.
    _read(path)
    password_hash = read_new_hash(allow_short=allow_short)
    with editing(path) as document:
        add(document, name, password_hash=password_hash, role=role)
    return _done(f"Added {name} ({role})", name, path)


@accounts.command("list")
@click.option("--sign-ins", is_flag=True, help="Ask the service which accounts it knows, and when each last signed in.")
def list_accounts(sign_ins: bool) -> Report:
    """List the accounts of the file."""
    if sign_ins:
        known = connect().get("/api/admin/accounts", AccountList)["accounts"]
        rows = [(*_row(one), one["lastSignInAt"]) for one in known]
        return Report(
            known, table(("NAME", "ROLE", "STATE", "LAST SIGN-IN"), rows, none="The service knows no accounts.")
        )
    path = _path()
    found: list[Item] = [
        {"name": name, "role": one.role.value, "disabled": one.disabled} for name, one in _read(path).items()
    ]
    if not found:
        return Report(found, said(f"No accounts in {path}: `token-service accounts add NAME --role admin` makes one."))
    return Report(found, table(("NAME", "ROLE", "STATE"), [_row(one) for one in found]))


def _row(account: Item) -> tuple[str, str, str]:
    return account["name"], account["role"], "disabled" if account["disabled"] else "enabled"


@accounts.command()
@click.argument("name", callback=filled)
@short_option
def passwd(name: str, allow_short: bool) -> Report:
    """Change an account's password, which ends its sessions.

    Asks for the password, or reads it from standard input. A password in clear in the file is removed.
    """
    # Checked before the question: is there such an account?
    _change(name)
    # Asked between two edits, because nobody else should wait for the lock while a password is typed.
    password_hash = read_new_hash(allow_short=allow_short)
    path = _change(name, password_hash=password_hash, password=None)
    return _done(f"Changed the password of {name}", name, path)


@accounts.command()
@click.argument("name", callback=filled)
def disable(name: str) -> Report:
    """Bar an account, which ends its sessions."""
    return _done(f"Disabled {name}", name, _change(name, disabled=True))


@accounts.command()
@click.argument("name", callback=filled)
def enable(name: str) -> Report:
    """Let a disabled account sign in again."""
    # Removed and not set to false, because a missing member means enabled.
    return _done(f"Enabled {name}", name, _change(name, disabled=None))


@accounts.command("hash")
@short_option
def hash_line(allow_short: bool) -> Report:
    """Print the line that holds a password in an accounts file.

    Asks for the password, or reads it from standard input.
    """
    password_hash = read_new_hash(allow_short=allow_short)
    return Report({"password_hash": password_hash}, line(f'password_hash = "{password_hash}"'))


def _path() -> Path:
    """The accounts file of the service under these settings. Raises Failure."""
    with failing(SettingsError):
        settings = read(os.environ)
    # `serve` makes an accounts file only together with its own Redis.
    if settings.redis_url and not settings.accounts_file:
        raise Failure("set TOKENS_ACCOUNTS_FILE: with TOKENS_REDIS_URL no other file is read")
    return accounts_path(settings)


def _read(path: Path) -> dict[str, Account]:
    """The accounts of the file; empty if there is no file yet. Raises Failure."""
    if is_missing(path):
        return {}
    with failing(AccountsError):
        return read_accounts(path)


def _done(what: str, name: str, path: Path) -> Report:
    told = f"{what} in {path}. A running service reads it again on SIGHUP, and at its next start."
    return Report({"name": name, "file": str(path)}, said(told))


@contextmanager
def editing(path: Path) -> Iterator[tomlkit.TOMLDocument]:
    """The document, empty if there is no file yet; written if it was changed. Raises Failure.

    One editor at a time: the lock is on the directory, because the file is replaced.
    """
    with failing(OSError, str(path)):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The target of a link, because the file is replaced in the target's directory.
        lock = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = _parse(path)
        before = tomlkit.dumps(document)
        yield document
        after = tomlkit.dumps(document)
        if after != before:
            write_private(path, after)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None
    finally:
        os.close(lock)


def add(document: tomlkit.TOMLDocument, name: str, *, password_hash: str, role: str) -> None:
    """Add an account at the end. Raises Failure if one of this name exists, in any case of its letters."""
    accounts = document.get("accounts")
    if accounts is None:
        accounts = document["accounts"] = tomlkit.table(is_super_table=True)
    # Attempts are counted without regard to case, so two such accounts would share their attempts.
    taken = next((other for other in accounts if other.casefold() == name.casefold()), None)
    if taken is not None:
        raise Failure(f"there is an account {taken}: change it with `token-service accounts passwd {taken}`")
    account = tomlkit.table()
    account["password_hash"] = password_hash
    account["role"] = role
    accounts[name] = account


def _change(name: str, **members: object) -> Path:
    """Set members of an account; None removes one. Returns the file's path. Raises Failure without such an account."""
    path = _path()
    with editing(path) as document:
        accounts = document.get("accounts")
        account = accounts.get(name) if isinstance(accounts, dict) else None
        # People may have written something that is no table, such as `ada = "admin"`.
        if not isinstance(account, dict):
            raise Failure(f"there is no account {name}: `token-service accounts list` shows them")
        for key, value in members.items():
            if value is None:
                account.pop(key, None)
            else:
                _put(account, key, value)
    return path


def _put(account: Any, key: str, value: object) -> None:
    """Set a member. A new one comes before what follows the table, which is often a comment on the next table."""
    body = account.value.body if isinstance(account, Table) else []
    following = []
    # tomlkit keeps comments and blank lines as members without a key.
    while body and body[-1][0] is None:
        following.append(body.pop())
    account[key] = value
    body.extend(reversed(following))


def _parse(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return tomlkit.document()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: not a TOML file: {error}") from None
