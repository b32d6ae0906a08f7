"""`version` and `config`: what this program is and how it is set up."""

import os
import platform

import click

from service import __version__
from service.cli.failure import Failure
from service.cli.terminal.output import json_option, on_terminal, print_facts, print_json, print_table
from service.settings import SettingsError, described, masked, read


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        click.echo(f"token-service {__version__}")


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Print the effective settings, secrets masked.

    They come from the environment alone; each secret may also come from a file named by TOKENS_..._FILE.
    """
    try:
        effective = masked(read(os.environ))
    except SettingsError as error:
        raise Failure(str(error)) from None
    if as_json:
        print_json(effective)
        return
    shown = {
        name: {True: "on", False: "off"}[value] if isinstance(value, bool) else value
        for name, value in effective.items()
    }
    if on_terminal():
        rows = [
            (name, shown[name], "default" if effective[name] == default else "set", meaning)
            for name, default, meaning in described()
        ]
        print_table(("SETTING", "VALUE", "FROM", "MEANING"), rows)
    else:
        print_facts(list(shown.items()))
