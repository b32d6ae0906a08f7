"""The trace of a question on the fast path, as an example beside its time."""

import pytest

from service.app import Service
from tests.edge.asking import first

ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(("flags", "shown"), [("01", 1), ("00", 0)])
async def test_a_sampled_validation_is_an_example(service: Service, port: int, flags: str, shown: int) -> None:
    head = f"GET /validate HTTP/1.1\r\nHost: a.test\r\ntraceparent: 00-{ID}-00f067aa0ba902b7-{flags}\r\n"
    assert (await first(port, f"{head}Authorization: Bearer {'A' * 64}\r\n\r\n".encode())).startswith(b"HTTP/1.1 401")
    metrics = (await service.metrics.render("application/openmetrics-text"))[0].decode()
    assert sum(f'path="fast"}} 1.0 # {{trace_id="{ID}"}}' in line for line in metrics.splitlines()) == shown
