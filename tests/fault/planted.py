"""Faults on purpose: services that get wrong what ours must get right. The harness must catch them.

Each is an ASGI application for `POST /consume/<token>`; REDIS names the unix socket or URL.
"""

import os

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NotConnected
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

_url = os.environ.get("REDIS", "redis://nowhere")


def _application(redis: Redis, *, naive: bool) -> Starlette:
    async def consume(request: Request) -> JSONResponse:
        key = request.path_params["token"]
        if naive:
            found = await redis.get(key)
            if found is not None:
                await redis.delete(key)
        else:
            found = await redis.getdel(key)
        return JSONResponse({"valid": found is not None})

    return Starlette(routes=[Route("/consume/{token}", consume, methods=["POST"])])


naive = _application(Redis.from_url(_url), naive=True)
# A lost reply makes the client ask again: the second GETDEL finds nothing, and a good token is burnt.
asks_again = _application(Redis.from_url(_url, retry=Retry(NoBackoff(), 3), retry_on_error=[NotConnected]), naive=False)
