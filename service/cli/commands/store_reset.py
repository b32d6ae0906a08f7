"""`confirm-reset`: somebody says that the store may be as empty as it is."""

import click

from service.cli.client.http import connect
from service.cli.terminal.output import json_option, print_json, print_table
from service.cli.terminal.prompts import confirm


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def confirm_reset(yes: bool, as_json: bool) -> None:
    """Confirm that Redis was emptied.

    Where readiness says `store_reset` and no backup is to be restored. Brings nothing back.
    """
    client = connect()
    confirm("Redis has lost what was there. Go on without it?", yes=yes)
    answer = client.send("POST", "/api/admin/confirm-reset")
    if as_json:
        print_json(answer)
    else:
        print_table(("DONE",), [("the store is taken as it is",)])
