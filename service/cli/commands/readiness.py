"""`healthcheck`: is the service ready? `confirm-reset`: confirms that the present, emptied store is accepted."""

import http.client
from typing import Any

import click

from service.cli.client.address import service_address
from service.cli.client.answers import Message
from service.cli.client.http import PROBE_SECONDS, Client, connect
from service.cli.failure import Failure
from service.cli.terminal.output import printable
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Report, ReportCommand, line, table


@click.command(cls=ReportCommand)
def healthcheck() -> Report:
    """Ask the service whether it is ready.

    GET /readyz of TOKENS_URL, or of this machine's TOKENS_PORT. Exit 0 if it is ready, 1 if not.
    """
    # Not by `connect`, which needs a credential: a container's health check has none.
    answer = Client(service_address(), read_seconds=PROBE_SECONDS).ask("GET", "/readyz")
    report = answer.json()
    if answer.status == http.client.OK and report.get("status") == "ready":
        return Report(report, line("ready"))
    # A proxy in between may have answered with a page of its own.
    why = _faults(report) or printable(answer.body[:200].decode(errors="replace"))
    return Report(report, failure=Failure(f"not ready ({answer.status}): {why}"))


def _faults(report: dict[str, Any]) -> str:
    checks = report.get("checks")
    if not isinstance(checks, list):
        return ""
    return "; ".join(f"{check['name']}: {check.get('detail', '')}" for check in checks if check["status"] != "ok")


@click.command(cls=ReportCommand)
@yes_option
def confirm_reset(yes: bool) -> Report:
    """Confirm that Redis was emptied.

    For a service whose readiness says `store_reset`, if no backup is to be restored. Restores nothing.
    """
    # Before the question, so that nobody answers it without being signed in.
    client = connect()
    confirm("Redis has lost what was there. Go on without it?", yes=yes)
    answer = client.send("POST", "/api/admin/confirm-reset", Message)
    return Report(answer, table(("DONE",), [("the store is taken as it is",)]))
