"""Reference: the smallest token check one would write with FastAPI and redis.asyncio."""

import json
import os
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Response
from redis.asyncio import Redis

app = FastAPI()
store = Redis.from_url(os.environ["BENCH_REDIS_URL"])


@app.get("/validate")
async def validate(authorization: Annotated[str, Header()] = "") -> Response:
    record = await store.get(f"ref:{authorization.removeprefix('Bearer ')}")
    if record is None or not json.loads(record)["active"]:
        raise HTTPException(401)
    return Response()
