"""A new password of an account: asked for, checked for its length, and hashed."""

import click

from service.cli.failure import WrongUsage
from service.cli.terminal.prompts import read_password
from service.tokens.accounts.passwords import SHORTEST, hash_password, is_short

short_option = click.option(
    "--allow-short", is_flag=True, help=f"Take a password of fewer than {SHORTEST} characters, for a lab."
)


def read_new_hash(*, allow_short: bool) -> str:
    """The hash of a password that is asked for. Raises WrongUsage if it is too short."""
    password = read_password(new=True)
    if not allow_short:
        require_length(password, "the password")
    return hash_password(password)


def require_length(password: str, what: str) -> None:
    """Raises WrongUsage, which names what is too short."""
    if is_short(password):
        raise WrongUsage(f"{what} has fewer than {SHORTEST} characters: --allow-short takes it, for a lab")
