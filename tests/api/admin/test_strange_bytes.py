"""What somebody else wrote beside our own in Redis: it is passed over, and everything of ours is still answered."""

from __future__ import annotations

import pytest

from service.app import Service
from tests.asgi import sign_in

pytestmark = pytest.mark.anyio


async def test_strange_bytes_hide_nothing_of_ours(service: Service) -> None:
    admin = await sign_in(service)
    shard = service.stores.shards[0]
    await shard.link.execute("HSET", shard.keys.webhooks, b"\xff", b"\xfe")
    for garbage in (b"\xff\0garbage", b"\x05", b""):
        await shard.link.execute("SET", shard.keys.hygiene, garbage)
        for path in ("/metrics", "/api/admin/tokens/hygiene", "/api/admin/webhooks"):
            assert (await admin.get(path)).status == 200, path
