"""Questions to whoever runs a command. Without a terminal they read standard input, or end the command."""

import sys

import click

from service.cli.failure import WrongUsage
from service.cli.terminal.output import printable

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def somebody_answers() -> bool:
    """True if a person can type on standard input."""
    return sys.stdin.isatty()


def read_password(*, new: bool = False) -> str:
    """A password, typed without echo (twice if new), or the first line of standard input."""
    if somebody_answers():
        # On standard error, as all questions, because standard output may be piped.
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=new, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise WrongUsage("no password on standard input")
    return password


def read_token() -> str:
    """A token typed without echo, or the first line of standard input; empty without one."""
    typed = click.prompt("Token", hide_input=True, err=True) if somebody_answers() else sys.stdin.readline()
    return str(typed).strip()


def confirm(question: str, *, yes: bool) -> None:
    """Return only after a yes. Raises Failure if nobody can be asked, Abort for a no."""
    if yes:
        return
    # Names in it are untrusted text.
    question = printable(question)
    if not somebody_answers():
        raise WrongUsage(f"{question} Nobody is there to answer: add --yes.")
    click.confirm(question, abort=True, err=True)
