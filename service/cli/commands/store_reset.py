"""`confirm-reset`: somebody says that the store may be as empty as it is."""

import click

from service.cli.client.answers import Message
from service.cli.client.http import connect
from service.cli.terminal.prompts import confirm, yes_option
from service.cli.terminal.report import Report, ReportCommand, table


@click.command(cls=ReportCommand)
@yes_option
def confirm_reset(yes: bool) -> Report:
    """Confirm that Redis was emptied.

    Where readiness says `store_reset` and no backup is to be restored. Brings nothing back.
    """
    # Before the question, so that nobody answers it who is not signed in.
    client = connect()
    confirm("Redis has lost what was there. Go on without it?", yes=yes)
    answer = client.send("POST", "/api/admin/confirm-reset", Message)
    return Report(answer, table(("DONE",), [("the store is taken as it is",)]))
