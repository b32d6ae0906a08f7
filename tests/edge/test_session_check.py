"""What the reply of Redis to a session check means: only "there is none" is a no."""

from typing import Any

import pytest

from service.errors import StoreUnavailable
from tests.conftest import MakeService
from tests.edge.asking import asking
from tests.edge.conftest import Turned, edge
from tests.links import Saying


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (None, b"200", b'{"valid":false,"expiry_time":null}'),
        (b"", b"200", b'{"valid":false,"expiry_time":null}'),
        (b"no record of ours", b"200", b'{"valid":false,"expiry_time":null}'),
        (7, b"503", b'"code":"store_unavailable"'),
        ([b"a"], b"503", b'"code":"store_unavailable"'),
        (StoreUnavailable("away"), b"503", b'"code":"store_unavailable"'),
        (RuntimeError("of another kind"), b"503", b'"code":"store_unavailable"'),
    ],
)
async def test_what_is_no_reply_of_a_lookup_is_neither_yes_nor_no(
    make_service: MakeService, turned: Turned, reply: Any, status: bytes, body: bytes
) -> None:
    service = await make_service(background=False, wrap=Saying)
    link = service.stores.shards[0].link
    link.reply = reply
    request = b"GET /api/token HTTP/1.1\r\nHost: a\r\nX-Token: " + b"A" * 64 + b"\r\n\r\n"
    async with edge(service, turned) as port, asking(port, request) as (reader, _):
        head, found = await reader.readuntil(b"\r\n\r\n"), await reader.readuntil(b"}")
    assert (head[9:12], body in found) == (status, True), (head, found)
    assert (b"retry-after: 1" in head) is (status == b"503")
