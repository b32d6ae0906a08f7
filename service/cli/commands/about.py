"""`version`, `config` and `openapi`: this program, its settings and its API."""

import os
import platform
from functools import partial

import click

from service import __version__
from service.cli.failure import failing
from service.cli.terminal.output import on_terminal, print_json
from service.cli.terminal.report import Report, ReportCommand, facts, line, table
from service.settings import SettingsError, described, masked, read


@click.command(cls=ReportCommand)
def version() -> Report:
    """Print the version."""
    found = {"version": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return Report(found, line(f"token-service {__version__}"))


@click.command(cls=ReportCommand)
def config() -> Report:
    """Print the effective settings, secrets masked.

    They come only from the environment; each secret may also come from a file named by TOKENS_..._FILE.
    """
    with failing(SettingsError):
        effective = masked(read(os.environ))
    shown = {
        # In the form that a setting is written in, and not as Python prints it.
        name: {True: "on", False: "off"}[value] if isinstance(value, bool) else value
        for name, value in effective.items()
    }
    # Scripts read names and values; the source and the meaning of a value are for people.
    if not on_terminal():
        return Report(effective, facts(list(shown.items())))
    rows = [
        (name, shown[name], "default" if effective[name] == default else "set", meaning)
        for name, default, meaning in described()
    ]
    return Report(effective, table(("SETTING", "VALUE", "FROM", "MEANING"), rows))


@click.command(cls=ReportCommand)
def openapi() -> Report:
    """Print the OpenAPI document."""
    # This needs the whole service, which the other two commands do not import.
    from service.app import openapi_document  # noqa: PLC0415

    document = openapi_document()
    return Report(document, partial(print_json, document))
