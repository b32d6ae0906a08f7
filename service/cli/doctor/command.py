"""`doctor`: everything that the service needs, checked one by one without starting or changing anything."""

import asyncio
import os

import click

from service.cli.doctor.finding import FAILED, OK, WARNING, Finding
from service.cli.doctor.machine import accounts, certificate, data_directory, ports, server_key, settings_for_start
from service.cli.doctor.redis_server import redis_of
from service.cli.terminal.output import on_terminal
from service.cli.terminal.report import Report, json_option, said, table
from service.settings import SettingsError


@click.command()
@json_option
def doctor() -> Report:
    """Check everything that the service needs.

    Settings, data directory, server key, Redis, clock, accounts, certificate, port. Starts and changes nothing.
    Exit 1 if something failed.
    """
    found = _examine()
    results = [finding.result for finding in found]
    return Report(
        [finding._asdict() for finding in found],
        table(("RESULT", "CHECK", "FOUND"), [(one.result, one.check, one.detail) for one in found]),
        said(f"{results.count(FAILED)} failed, {results.count(WARNING)} warnings") if on_terminal() else None,
        # No `Failure`, which says why in a line of its own: the findings have said it.
        failure=SystemExit(1) if FAILED in results else None,
    )


def _examine() -> list[Finding]:
    try:
        settings = settings_for_start(os.environ)
    except SettingsError as error:
        return [Finding("settings", FAILED, str(error))]
    found = [Finding("settings", OK, "no unknown name, every value in bounds")]
    if not settings.redis_url:
        found.append(data_directory(settings))
    found.append(server_key(settings))
    found += asyncio.run(redis_of(settings))
    found.append(accounts(settings))
    if settings.tls_certificate_file:
        found.append(certificate(settings))
    return found + ports(settings)
