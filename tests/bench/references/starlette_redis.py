"""Reference: a Starlette route that does one GET through redis-py's connection pool."""

import os

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

store = Redis.from_url(os.environ["BENCH_REDIS_URL"])


async def validate(request: Request) -> Response:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    record = await store.get(f"ref:{token}")
    return Response(status_code=401 if record is None else 200)


app = Starlette(routes=[Route("/validate", validate)])
