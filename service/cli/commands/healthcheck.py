"""`healthcheck`, for containers and scripts: is the service ready?"""

import http.client
from typing import Any

import click

from service.cli.client.address import service_address
from service.cli.client.http import PROBE_SECONDS, Client
from service.cli.failure import Failure
from service.cli.terminal.output import printable
from service.cli.terminal.report import Report, ReportCommand, line


@click.command(cls=ReportCommand)
def healthcheck() -> Report:
    """Ask the service whether it is ready.

    GET /readyz of TOKENS_URL, or of this machine's TOKENS_PORT. Exit 0 if it is ready, 1 if not.
    """
    # Not by `connect`, which wants to know who asks: a container's check is nobody.
    answer = Client(service_address(), read_seconds=PROBE_SECONDS).ask("GET", "/readyz")
    report = answer.json()
    if answer.status == http.client.OK and report.get("status") == "ready":
        return Report(report, line("ready"))
    # A proxy between may have answered with a page of its own.
    why = _failing(report) or printable(answer.body[:200].decode(errors="replace"))
    return Report(report, failure=Failure(f"not ready ({answer.status}): {why}"))


def _failing(report: dict[str, Any]) -> str:
    checks = report.get("checks")
    if not isinstance(checks, list):
        return ""
    return "; ".join(f"{check['name']}: {check.get('detail', '')}" for check in checks if check["status"] != "ok")
