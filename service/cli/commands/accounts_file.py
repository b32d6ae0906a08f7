"""Changes to the accounts file that leave what people wrote into it, comments too, as it is."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from service.cli.failure import Failure
from service.cli.private_file import write_private


@contextmanager
def editing(path: Path) -> Iterator[tomlkit.TOMLDocument]:
    """The document, empty where there is no file yet, written if it was changed. Raises Failure.

    One editor at a time: the directory is locked, because the file is replaced.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Where a link leads to: in that directory the file is replaced.
        lock = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = _read(path)
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
    """A new account at the end. Raises Failure if one of this name is there, in any case of its letters."""
    accounts = document.get("accounts")
    if accounts is None:
        accounts = document["accounts"] = tomlkit.table(is_super_table=True)
    # Names are counted without regard to case when passwords are tried: two such accounts would share their tries.
    taken = next((other for other in accounts if other.casefold() == name.casefold()), None)
    if taken is not None:
        raise Failure(f"there is an account {taken}: change it with `token-service accounts passwd {taken}`")
    account = tomlkit.table()
    account["password_hash"] = password_hash
    account["role"] = role
    accounts[name] = account


def change(document: tomlkit.TOMLDocument, name: str, **members: object) -> None:
    """Set members of an account; None removes one. Raises Failure if there is no such account."""
    account = document.get("accounts", {}).get(name)
    if account is None:
        raise Failure(f"there is no account {name}: `token-service accounts list` shows them")
    for key, value in members.items():
        if value is None:
            account.pop(key, None)
        else:
            _put(account, key, value)


def _put(account: Any, key: str, value: object) -> None:
    """Set a member; a new one stands before what follows the table, often a comment about the next one."""
    body = account.value.body if isinstance(account, Table) else []
    following = []
    # tomlkit keeps comments and blank lines as members without a key.
    while body and body[-1][0] is None:
        following.append(body.pop())
    account[key] = value
    body.extend(reversed(following))


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: not a TOML file: {error}") from None
