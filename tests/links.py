"""A link over a redis-py client, so that the store runs on fakeredis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.store.batch import translate


class ClientLink:
    """Asks by a client whose replies are left as Redis sends them."""

    def __init__(self, client: Redis) -> None:
        client.response_callbacks.clear()
        self.client = client
        self._asked: set[asyncio.Task[None]] = set()

    async def execute(self, *args: Any, retry: bool = False) -> Any:
        try:
            return await self.client.execute_command(*args)
        except RedisError as error:
            raise translate(error) from error

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        parts = command.split(b"\r\n")[2::2]
        task = asyncio.get_running_loop().create_task(self._ask(parts, answer))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _ask(self, parts: list[bytes], answer: Callable[[Any], None]) -> None:
        try:
            answer(await self.execute(*parts))
        except Exception as error:
            answer(error)
