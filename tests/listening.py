"""A real listener over the application, with a protocol of choice."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from service.app import Service

# To take a connection, to make its transport and to tell the protocol of it; and one more.
_TURNS_TO_ACCEPT = 4


async def stop(*servers: asyncio.Server) -> None:
    """Listen no more. Whoever came before has been taken, so that the protocol knows of it and can end it."""
    # What asyncio takes in the turn in which a server closes is left open for good: it stops taking first.
    loop = asyncio.get_running_loop()
    for listener in [listener for server in servers for listener in server.sockets]:
        loop.remove_reader(listener)
    for _ in range(_TURNS_TO_ACCEPT):
        await asyncio.sleep(0)
    for server in servers:
        server.close()


@asynccontextmanager
async def listening(
    service: Service, protocol: type[asyncio.Protocol], state: dict[str, Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
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
        ssl_context_factory=(lambda *_: tls) if tls else None,
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
    await stop(*server.servers)
    for connection in list(server.server_state.connections):
        connection.shutdown()
    for task in list(server.server_state.tasks):
        task.cancel()
