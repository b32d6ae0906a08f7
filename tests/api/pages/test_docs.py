"""The API reference: served whole from this host, and gone where it is switched off."""

import gzip
import re
import threading
from hashlib import sha256
from importlib.resources import files

import httpx2
import pytest

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
        plain = await client.get("/docs/swagger-ui.css", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.text.startswith(".swagger-ui")


async def test_what_takes_milliseconds_to_make_is_made_beside_the_loop(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set()

    def make(*_: object) -> dict[str, object]:
        threads.add(threading.current_thread())
        return {}

    def unpack(packed: bytes) -> bytes:
        unpacked_in.add(threading.current_thread())
        return packed

    unpacked_in = set()
    service = await make_service()
    monkeypatch.setattr("service.api.http.openapi.document", make)
    monkeypatch.setattr(gzip, "decompress", unpack)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=service.application), base_url="http://a.test"
    ) as client:
        assert (await client.get("/openapi.json")).json() == {"servers": [{"url": "/"}]}
        await client.get("/docs/swagger-ui-bundle.js", headers={"accept-encoding": "identity"})
    assert len(threads) == len(unpacked_in) == 1
    assert threading.current_thread() not in threads | unpacked_in


async def test_the_reference_can_be_switched_off(make_service: MakeService) -> None:
    service = await make_service(docs=False)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=service.application), base_url="http://a.test"
    ) as client:
        assert (await client.get("/docs")).status_code == 404
        assert (await client.get("/openapi.json")).status_code == 200
