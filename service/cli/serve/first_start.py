"""The first start with the managed Redis: makes an account to sign in with, and prints its password once."""

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
    """The accounts file of the settings, else the one beside the data of the managed Redis."""
    return settings.accounts_path or settings.data_path / "accounts.toml"


def check_accounts(settings: Settings, *, allow_short: bool) -> None:
    """Check, before anything is made, that the accounts can be read, or that the first one can be made and printed.

    Raises Failure, SettingsError for a file, and WrongUsage for a password that is too short.
    """
    path = accounts_path(settings)
    # Not `Path.exists`, which raises in another user's directory; whoever uses the path reports that.
    if settings.accounts_file or os.path.exists(path):
        accounts_of(msgspec.structs.replace(settings, accounts_file=str(path)))
    elif not settings.admin_password:
        require_printable(sys.stdout)
    elif not allow_short:
        require_length(settings.admin_password, "TOKENS_ADMIN_PASSWORD")


def admin_account(settings: Settings, *, dashboard: str) -> Settings:
    """The settings with an accounts file: the configured one, else the data directory's.

    If that is missing it is made, and its password printed. `dashboard` is the URL to sign in at. Raises Failure.
    """
    if settings.accounts_file:
        return settings
    path = accounts_path(settings)
    # In a file, and never over HTTP: an emptied Redis must not let the first visitor make the account.
    if not path.exists():
        password = settings.admin_password or _made_password()
        text = f'[accounts.{NAME}]\npassword_hash = "{hash_password(password)}"\nrole = "{Role.ADMIN}"\n'
        with failing(OSError, f"cannot write {path}"):
            made = make_private(path, text)
        # If two services start at once only one writes the file, and the other one's password is not used.
        if made:
            shown = "the one in TOKENS_ADMIN_PASSWORD" if settings.admin_password else password
            try:
                _announce(shown, kept_in=str(path), dashboard=dashboard)
            except OSError:
                # Nobody has read the password, so the next start makes a new account.
                path.unlink()
                raise
    return msgspec.structs.replace(settings, accounts_file=str(path))


def _made_password() -> str:
    """80 random bits in groups that can be read aloud."""
    # Hex digits, because they cannot be confused like O and 0, or l and 1.
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
        # With the file's name, because another shell may have another data directory, or no settings at all.
        f"Another password: TOKENS_ACCOUNTS_FILE={shlex.quote(kept_in)} {_command()} accounts passwd {NAME}",
    )
    rule = "-" * 72
    click.echo("\n".join((rule, *lines, rule)))


def _command() -> str:
    """This program as a shell can run it: the command of a virtual environment is mostly not on PATH."""
    installed = Path(sys.executable).with_name("token-service")
    if shutil.which(installed.name) == str(installed):
        return installed.name
    return shlex.quote(str(installed)) if installed.exists() else f"{shlex.quote(sys.executable)} -m service"
