"""Requests whose answer shows a secret: asked again when the answer was lost, they issue no second one."""

from typing import Any

from service.cli.client.http import Client
from service.cli.failure import NoAnswer
from service.model import Kind
from service.tokens.secret import mint


def send_once(client: Client, path: str, body: object) -> dict[str, Any]:
    """The answer to a POST under an Idempotency-Key of its own; tried twice. Raises Failure."""
    # The key needs 128 random bits, as a one-time secret has, but is none.
    key = mint(Kind.ONE_TIME)
    try:
        return client.send("POST", path, body, key=key)
    except NoAnswer:
        return client.send("POST", path, body, key=key)
