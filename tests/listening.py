"""A real listener over the application, with a protocol of choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from service.app import Service


@asynccontextmanager
async def listening(service: Service, protocol: type[asyncio.Protocol], state: dict[str, Any]) -> AsyncIterator[int]:
    """A uvicorn server over the application on a free port, without a lifespan of its own."""
    config = uvicorn.Config(
        service.application,
        host="127.0.0.1",
        port=0,
        http=protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=130,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    server.lifespan.state.update(state)
    await server.startup()
    # Once, not ten times a second: the date of the answers is all that it makes.
    await server.on_tick(0)
    yield server.servers[0].sockets[0].getsockname()[1]
    # As its own shutdown, which pauses on the way, for the connections that a test left open.
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    for task in list(server.server_state.tasks):
        task.cancel()
