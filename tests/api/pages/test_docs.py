"""The API reference: served whole from this host, and gone where it is switched off."""

import gzip
import json
import re
import threading
from hashlib import sha256
from importlib.resources import files
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest
from starlette.responses import Response, StreamingResponse

from service.api.http.bodies import LongJson
from service.app import Service
from tests.conftest import MakeService


def test_the_vendored_files_are_the_ones_that_are_named() -> None:
    folder = files("service").joinpath("docs")
    named = re.findall(r"^([0-9a-f]{64})  (\S+)$", folder.joinpath("VENDORED").read_text(), re.MULTILINE)
    assert len(named) == 2
    for checksum, name in named:
        assert sha256(gzip.decompress(folder.joinpath(name + ".gz").read_bytes())).hexdigest() == checksum


async def test_everything_the_page_asks_for_is_served_under_a_strict_policy(make_service: MakeService) -> None:
    service = await make_service()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=service.application), base_url="http://a.test"
    ) as client:
        page = await client.get("/docs")
        assert page.status_code == 200
        # Relative ones: the service may lie below a path.
        wanted = [f"/{path}" for path in re.findall(r'(?:src|href)="(\w[^":]*)"', page.text)]
        assert len(wanted) == 4
        for path in wanted:
            assert (await client.get(path)).status_code == 200, path
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for encodings in ("identity", "", "br", "gzip;q=0", "br, gzip; q=0.000, identity", "Gzip;q=0.", "notgzip"):
            plain = await client.get("/docs/swagger-ui.css", headers={"accept-encoding": encodings})
            assert "content-encoding" not in plain.headers, encodings
            assert plain.text.startswith(".swagger-ui")
        for encodings in ("gzip", "GZIP", "br,gzip", "deflate, gzip ; q=0.001", "gzip;q=1.0, *;q=0", "gzip;q=0.5,br"):
            packed = await client.get("/docs/swagger-ui.css", headers={"accept-encoding": encodings})
            assert packed.headers["content-encoding"] == "gzip", encodings


async def test_what_takes_milliseconds_to_make_is_made_beside_the_loop(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, made = set(), 0

    def make(*_: object) -> dict[str, object]:
        nonlocal made
        made += 1
        threads.add(threading.current_thread())
        return {"openapi": "3.1.0", "servers": [{"url": "/"}]}

    service = await make_service()
    monkeypatch.setattr("service.api.http.openapi.document", make)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=service.application), base_url="http://a.test"
    ) as client:
        told = [await client.get("/openapi.json", headers={"host": host}) for host in ("a", "b")]
    # As text, in which a name that is there twice shows: parsers of YAML, as that of the reference, refuse it.
    assert [one.text for one in told] == 2 * ['{"openapi":"3.1.0","servers":[{"url":"/"}]}']
    # And only once.
    assert len(threads) == made == 1
    assert threading.current_thread() not in threads


async def got(service: Service, path: str, *headers: tuple[bytes, bytes]) -> Response:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [*headers]}
    return await service.application.respond(service.application.call(scope, Mock()))


def once_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names are each there once: the reference's parser refuses others."""
    assert len(dict(members)) == len(members)
    return dict(members)


async def test_the_document_is_held_once_however_many_read_it_slowly(service: Service) -> None:
    first, second = [await got(service, "/openapi.json") for _ in range(2)]
    assert isinstance(first, LongJson)
    assert isinstance(second, LongJson)
    assert first.pieces[0] is second.pieces[0]
    assert json.loads(second.body, object_pairs_hook=once_each)["openapi"] == "3.1.0"


@pytest.mark.parametrize("path", ["/docs/swagger-ui-bundle.js", "/docs/docs.js"])
async def test_a_file_is_held_once_however_many_read_it_slowly(service: Service, path: str) -> None:
    first, second = [await got(service, path, (b"accept-encoding", b"gzip")) for _ in range(2)]
    assert first.body is second.body
    # And unpacked as it is read, in pieces that take less than a millisecond.
    unpacked = await got(service, path)
    assert isinstance(unpacked, StreamingResponse)
    pieces = [bytes(piece) async for piece in unpacked.body_iterator]
    assert b"".join(pieces) == gzip.decompress(first.body)
    assert int(unpacked.headers["content-length"]) == sum(map(len, pieces))
    assert max(map(len, pieces)) <= 128 * 1024


async def test_the_reference_can_be_switched_off(make_service: MakeService) -> None:
    service = await make_service(docs=False)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=service.application), base_url="http://a.test"
    ) as client:
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/openapi.json")).status_code == 200
