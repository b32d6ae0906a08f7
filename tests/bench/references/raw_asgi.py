"""Reference: the cheapest answer an ASGI application can give under uvicorn. It asks nobody."""

from collections.abc import Awaitable, Callable
from typing import Any

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
BODY = {"type": "http.response.body", "body": b""}


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    await send(START)
    await send(BODY)
