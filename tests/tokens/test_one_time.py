"""One-time tokens: used at most once, whoever asks and however often."""

from __future__ import annotations

import asyncio

import pytest

from service.app import Service
from service.model import Outcome

pytestmark = pytest.mark.anyio


async def test_consume_admits_exactly_one_of_fifty_callers(service: Service) -> None:
    issued = await service.one_time.issue(address="192.0.2.1", anonymous=True)
    verdicts = await asyncio.gather(*[service.one_time.consume(issued.secret.encode()) for _ in range(50)])
    assert sorted(verdict.outcome for verdict in verdicts) == [Outcome.ACTIVE] + [Outcome.UNKNOWN] * 49


async def test_a_retry_of_the_same_request_gets_the_first_answer_and_another_request_none(service: Service) -> None:
    issued = await service.one_time.issue(address="192.0.2.1", anonymous=False, subject="order-7", data='{"a":1}')
    first = await service.one_time.consume(issued.secret.encode(), request="attempt-1")
    again = await service.one_time.consume(issued.secret.encode(), request="attempt-1")
    other = await service.one_time.consume(issued.secret.encode(), request="attempt-2")
    assert first == again
    assert first.credential is not None and first.credential.subject == "order-7"
    assert other.outcome is Outcome.UNKNOWN
