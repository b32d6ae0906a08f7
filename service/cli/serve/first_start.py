"""The first start with the managed Redis: an account to sign in with, and its password said once."""

import os
import shlex
import shutil
import sys
import textwrap
from pathlib import Path

import click
import msgspec

from service.cli.failure import failing
from service.cli.terminal.new_password import require_length
from service.cli.terminal.output import require_printable
from service.composition.reading import accounts_of
from service.model import Kind, Role
from service.settings import Settings
from service.tokens.accounts.passwords import hash_password
from service.tokens.secret import mint
from service.user_files import make_private

NAME = "admin"


def accounts_path(settings: Settings) -> Path:
    """The accounts file that the settings name, else the one beside the data of the managed Redis."""
    return settings.accounts_path or settings.data_path / "accounts.toml"


def check_accounts(settings: Settings, *, allow_short: bool) -> None:
    """Before anything is made: can the accounts be read or, where there are none yet, the first one be made and said?

    Raises Failure, SettingsError for a file, and WrongUsage for a password that is too short.
    """
    path = accounts_path(settings)
    # Not `Path.exists`, which raises where the directory is somebody else's: to say so is left to who uses it.
    if settings.accounts_file or os.path.exists(path):
        accounts_of(msgspec.structs.replace(settings, accounts_file=str(path)))
    elif not settings.admin_password:
        require_printable(sys.stdout)
    elif not allow_short:
        require_length(settings.admin_password, "TOKENS_ADMIN_PASSWORD")


def admin_account(settings: Settings, *, dashboard: str) -> Settings:
    """The settings with an accounts file: the one they name, else the data directory's.

    That one is made if it is not there, and its password printed. `dashboard` is the URL to sign in at.
    Raises Failure.
    """
    if settings.accounts_file:
        return settings
    path = accounts_path(settings)
    # In a file, and never over HTTP: a Redis that was emptied must not open the service to whoever comes first.
    if not path.exists():
        password = settings.admin_password or _made_password()
        text = f'[accounts.{NAME}]\npassword_hash = "{hash_password(password)}"\nrole = "{Role.ADMIN}"\n'
        with failing(OSError, f"cannot write {path}"):
            made = make_private(path, text)
        # Of two services that start at once one writes the file, and the password of the other one opens nothing.
        if made:
            shown = "the one in TOKENS_ADMIN_PASSWORD" if settings.admin_password else password
            try:
                _announce(shown, kept_in=str(path), dashboard=dashboard)
            except OSError:
                # Nobody has read it: the next start makes another one.
                path.unlink()
                raise
    return msgspec.structs.replace(settings, accounts_file=str(path))


def _made_password() -> str:
    """80 random bits in groups that can be read aloud."""
    # Of hex digits, so that nobody confuses O with 0 or l with 1.
    return "-".join(textwrap.wrap(mint(Kind.ONE_TIME)[:20], 5))


def _announce(password: str, *, kept_in: str, dashboard: str) -> None:
    lines = (
        "An account was made to sign in with. Its password is shown once.",
        "",
        f"    name       {NAME}",
        f"    password   {password}",
        f"    hash in    {kept_in}",
        f"    sign in    {dashboard}",
        "",
        # With the file, because another shell has another user's data directory, or no setting at all.
        f"Another password: TOKENS_ACCOUNTS_FILE={shlex.quote(kept_in)} {_command()} accounts passwd {NAME}",
    )
    rule = "-" * 72
    click.echo("\n".join((rule, *lines, rule)))


def _command() -> str:
    """What a shell can run as this very program: that of a virtual environment is mostly on no PATH."""
    installed = Path(sys.executable).with_name("token-service")
    if shutil.which(installed.name) == str(installed):
        return installed.name
    return shlex.quote(str(installed)) if installed.exists() else f"{shlex.quote(sys.executable)} -m service"
