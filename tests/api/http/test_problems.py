"""What goes wrong on this side: said in a few words, counted, logged under the request's id, and never a verdict."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from service.app import Service
from service.errors import StoreUnavailable
from tests.asgi import Person, sign_in
from tests.builders import create
from tests.conftest import MakeService
from tests.links import Wrapped

STATS = "/api/admin/tokens/stats"


class Cut(Wrapped):
    """A link that a test cuts: from then on nothing is answered."""

    def __init__(self, link: Any) -> None:
        super().__init__(link)
        self.cut = False

    async def execute(self, *args: Any, **how: Any) -> Any:
        if self.cut:
            raise StoreUnavailable("Redis is away.")
        return await super().execute(*args, **how)

    def submit(self, command: bytes, answer: Callable[[Any], None], *, retry: bool = False) -> None:
        if self.cut:
            answer(StoreUnavailable("Redis is away."))
        else:
            super().submit(command, answer, retry=retry)


async def lifespan(service: Service) -> list[dict[str, Any]]:
    """What the application answers to a server that starts it and stops it again."""
    messages = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]
    answered: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        answered.append(message)

    await service.application({"type": "lifespan", "state": {}}, receive, send)
    return answered


async def test_a_fault_of_ours_is_a_500_that_tells_nothing_but_the_log(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = await make_service(background=False)
    admin = await sign_in(service)

    async def fail() -> None:
        raise ValueError("a detail for the log alone")

    monkeypatch.setattr(service.rules.managed.queries, "statistics", fail)
    answer = await admin.ask("GET", STATS, headers={"X-Request-Id": "asked-1"})
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.json()["code"], answer.json()["request_id"]) == ("internal_error", "asked-1")
    assert b"detail for the log" not in answer.body
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [(record.message, record.__dict__["facts"]["request_id"]) for record in logged] == [
        ("a request failed", "asked-1")
    ]
    assert logged[0].exc_info is not None
    text = (await service.metrics.render(""))[0].decode()
    assert f'tokens_http_requests_total{{method="GET",route="{STATS}",status="500"}} 1.0' in text


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault(
    make_service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    service = await make_service(background=False)
    admin = await sign_in(service)
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b'{"name":', "more_body": True}]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": "/api/admin/tokens",
        "raw_path": b"/api/admin/tokens",
        "root_path": "",
        "query_string": b"",
        "client": ("192.0.2.7", 1),
        "server": ("127.0.0.1", 80),
        "headers": [(b"authorization", f"Bearer {admin.secret}".encode()), (b"content-type", b"application/json")],
    }
    await service.application(scope, receive, send)
    assert sent[0]["status"] == 400
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert (await service.rules.managed.queries.statistics()).total == 0


async def test_without_redis_every_door_says_that_it_does_not_know(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Cut)
    created = await create(service)
    issued = await service.rules.one_time.issue(address="192.0.2.7", anonymous=False)
    service.stores.shards[0].link.cut = True
    for secret, path in ((created.secret, "/validate"), (issued.secret, "/validate/one-time")):
        answer = await Person(service, secret).get(path)
        assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
        assert answer.headers["retry-after"] == "1"
    php = await Person(service).get("/api-v1/fastertokengenerator.php")
    assert (php.status, php.json()) == (500, {"status": "error", "message": "Error generating token"})
    service.stores.shards[0].link.cut = False
    assert (await Person(service, created.secret).get("/validate")).status == 200
    assert (await Person(service, issued.secret).get("/validate/one-time")).status == 200


async def test_usage_that_redis_does_not_take_is_dropped_and_counted(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Cut)
    created = await create(service)
    assert (await Person(service, created.secret).get("/validate")).status == 200
    service.stores.shards[0].link.cut = True
    await service.rules.usage.flush()
    service.stores.shards[0].link.cut = False
    assert "tokens_usage_dropped_total 1.0" in (await service.metrics.render(""))[0].decode()
    await service.rules.usage.flush()
    assert "tokens_usage_dropped_total 1.0" in (await service.metrics.render(""))[0].decode()


async def test_a_service_that_stops_is_alive_but_not_ready(make_service: MakeService) -> None:
    service = await make_service()
    assert (await Person(service).get("/readyz")).status == 200
    service.health.drain()
    stopping = await Person(service).get("/readyz")
    assert stopping.status == 503
    assert {"name": "draining", "status": "failed", "detail": "the service is stopping"} in stopping.json()["checks"]
    assert (await Person(service).get("/livez")).status == 200


async def test_a_start_and_a_stop_are_told_to_the_server(make_service: MakeService) -> None:
    service = await make_service(background=False)
    assert [message["type"] for message in await lifespan(service)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_a_refused_start_is_told_to_the_server_in_one_line(make_service: MakeService) -> None:
    assert len(await lifespan(await make_service(background=False))) == 2
    other = await make_service(background=False, shards=16)
    (told,) = await lifespan(other)
    assert told["type"] == "lifespan.startup.failed"
    assert "first started with 1 shards" in told["message"]
    assert "\n" not in told["message"]
