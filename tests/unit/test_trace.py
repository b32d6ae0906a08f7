"""The trace of a request: read from `traceparent` as W3C has it, logged, and shown as an example beside the metrics."""

import logging

import pytest

from service.app import Service
from service.identifiers import trace_of
from service.metrics import Metrics
from tests.asgi import Person

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (f"00-{ID}-{SPAN}-01", (ID, True)),
        (f"00-{ID}-{SPAN}-00", (ID, False)),
        (f"00-{ID}-{SPAN}-03", (ID, True)),
        (f"cc-{ID}-{SPAN}-01", (ID, True)),
        (f"cc-{ID}-{SPAN}-01-what-comes-later", (ID, True)),
        (f"cc-{ID}-{SPAN}-01.what", None),
        (f"00-{ID}-{SPAN}-01-more", None),
        (f"ff-{ID}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{ID.upper()}-{SPAN}-01", None),
        (f"00-{ID}-{SPAN}-01\n", None),
        ("", None),
        ("00", None),
    ],
)
def test_a_traceparent_is_read_or_passed_over(field: str, found: tuple[str, bool] | None) -> None:
    assert trace_of(field.encode()) == found


async def test_the_last_trace_that_is_kept_stands_beside_its_bucket_once() -> None:
    metrics = Metrics()
    metrics.validation_timing("fast").observe(0.02)
    metrics.validation_timing("fast").show(ID, 0.02)
    metrics.requested("/livez", "GET", 200, 2.0, trace_id=ID)
    shown = (await metrics.render("application/openmetrics-text"))[0].decode().splitlines()
    examples = [line for line in shown if ID in line]
    assert [line.partition(" # ")[0] for line in examples] == [
        'tokens_validation_seconds_bucket{le="0.025",path="fast"} 1.0',
        'tokens_http_request_seconds_bucket{le="+Inf",route="/livez"} 1.0',
    ]
    assert examples[0].partition(" # ")[2].startswith(f'{{trace_id="{ID}"}} 0.02 ')
    assert ID not in (await metrics.render(""))[0].decode()


async def test_a_request_is_logged_and_shown_with_its_trace(still: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for flags in ("01", "00"):
        await Person(still).ask("GET", "/api/admin/tokens", headers={"traceparent": f"00-{ID}-{SPAN}-{flags}"})
    await Person(still).ask("GET", "/api/admin/tokens", headers={"traceparent": "nonsense"})
    facts = [record.__dict__["facts"] for record in caplog.records if record.message == "request"]
    assert [found.get("trace_id") for found in facts] == [ID, ID, None]
    shown = (await still.metrics.render("application/openmetrics-text"))[0].decode()
    assert shown.count(f'# {{trace_id="{ID}"}}') == 1
