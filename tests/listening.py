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
    ticking = asyncio.create_task(server.main_loop())
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await ticking
    server.force_exit = True
    await server.shutdown()
