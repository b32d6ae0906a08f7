"""The references: servers that answer nearly nothing, and what a user would pick instead, where it can be installed."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.bench import installs, servers
from tests.bench.load import Case
from tests.bench.plan import ALLOWED, JSON
from tests.bench.servers import Server

RAW = "uvicorn, constant raw ASGI"
STARLETTE_REDIS = "Starlette + redis-py pool"
STARLETTE = "Starlette, constant"
FASTAPI = "FastAPI + redis.asyncio"
FASTIFY = "Fastify + ioredis, pipelined"
FASTIFY_LIMITED, FASTIFY_SESSION = "Fastify, limited token", "Fastify, session"
FASTIFY_ISSUE, FASTIFY_SPEND, FASTIFY_CREATE = "Fastify, issue", "Fastify, spend", "Fastify, create"
RATELIMIT = "envoyproxy/ratelimit, HTTP"
NAMES = (
    RAW,
    STARLETTE,
    STARLETTE_REDIS,
    FASTAPI,
    FASTIFY,
    FASTIFY_LIMITED,
    FASTIFY_SESSION,
    FASTIFY_ISSUE,
    FASTIFY_SPEND,
    FASTIFY_CREATE,
    RATELIMIT,
)
# The token, or session, that all of them know.
RECORD = {"active": True, "sub": "alice", "exp": 4102444800}
GOOD = {"auth": "Bearer good", **ALLOWED}


def cases(stack: ExitStack, folder: Path, store: int, skipped: list[str]) -> list[Case]:
    """Start each of them and say what it is asked; for one that cannot be had, `skipped` gets the reason."""

    def asgi(name: str, file: str, python: str = sys.executable) -> Case:
        server = stack.enter_context(servers.asgi_reference(file, python, folder, store))
        return Case(name, server, "/validate", GOOD)

    found = [
        asgi(RAW, "raw_asgi"),
        asgi(STARLETTE, "starlette_constant"),
        asgi(STARLETTE_REDIS, "starlette_redis"),
    ]
    python, reason = installs.fastapi()
    if python:
        found.append(asgi(FASTAPI, "fastapi_redis", python))
    else:
        skipped.append(f"{FASTAPI}: {reason}")
    modules, reason = installs.fastify()
    if modules:
        node = servers.node_reference("fastify_ioredis", modules, folder, store)
        found += _of_fastify(stack.enter_context(node), folder)
    else:
        skipped.append(f"{FASTIFY}: {reason}")
    program, reason = installs.ratelimit()
    if program:
        found.append(_of_ratelimit(stack.enter_context(servers.ratelimit(program, folder, store))))
    else:
        skipped.append(f"{RATELIMIT}: {reason}")
    return found


def _of_fastify(server: Server, folder: Path) -> list[Case]:
    """The same jobs as the service's at their least."""
    issued = str(folder / f"issued-{server.port}.txt")
    issue = {"status": "200", "contains": '"status":"success"', "save": issued}
    spend = {"head": "GET /spend HTTP/1.1\nHost: a.test\nX-Token: @TOKEN@\n", "tokens": issued, **ALLOWED}
    create = {"method": "POST", "type": JSON, "body": '{"name":"bench @NAME@","duration":"7days"}'}
    return [
        Case(FASTIFY, server, "/validate", GOOD),
        Case(FASTIFY_LIMITED, server, "/limited", GOOD),
        Case(FASTIFY_SESSION, server, "/api/token?token=good", {"status": "200", "contains": '"valid":true'}),
        Case(FASTIFY_ISSUE, server, "/issue", issue, share=3),
        Case(FASTIFY_SPEND, server, "/spend", spend, share=0.2),
        Case(FASTIFY_CREATE, server, "/create", create | {"status": "201", "contains": '"token":"rtk_'}),
    ]


def _of_ratelimit(server: Server) -> Case:
    """It knows no tokens: it counts the value that a gateway would have read from one."""
    asked = {"domain": "bench", "descriptors": [{"entries": [{"key": "token", "value": "good"}]}]}
    spec = {"method": "POST", "type": JSON, "body": json.dumps(asked)}
    return Case(RATELIMIT, server, "/json", spec | {"status": "200", "contains": '"limitRemaining":'})
