"""`openapi`: the description of the HTTP API, from the same source as its routes."""

import click

from service.app import openapi_document
from service.cli.terminal.output import print_json


@click.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    print_json(openapi_document())
