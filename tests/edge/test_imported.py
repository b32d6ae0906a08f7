"""Secrets of other systems on the fast path: the one lookup that finds one is enough, as with ours."""

from hashlib import sha256
from typing import Any

import pytest

from service.app import Service
from service.metrics import NO_KIND
from service.model import Outcome, Verdict
from service.tokens.managed.import_admission import ImportedSecret, last_eight_of
from service.tokens.managed.tokens import NewToken
from tests.builders import ADMIN
from tests.conftest import MakeService
from tests.edge.asking import first

UUID, HEX = "5f0c2a60-8d52-4b7e-9c55-0d6a2f0f1b2c", "0123456789abcdef" * 2
STRANGER = "6f0c2a60-8d52-4b7e-9c55-0d6a2f0f1b2c"


@pytest.fixture
async def service(make_service: MakeService) -> Service:
    """One in whose background no counts are gathered, and nothing is learnt of other systems' secrets."""
    return await make_service(background=False)


async def ask(port: int, field: str, secret: str) -> bytes:
    head = await first(port, f"GET /validate HTTP/1.1\r\nHost: a\r\n{field}{secret}\r\n\r\n".encode())
    return head[9:12]


@pytest.fixture
def taken_the_long_way(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Secrets that were decided in a task."""
    taken, verify = list[bytes](), service.rules.authority.verify

    async def note(secret: bytes, *args: Any, **how: Any) -> Verdict:
        taken.append(secret)
        return await verify(secret, *args, **how)

    monkeypatch.setattr(service.rules.authority, "verify", note)
    return taken


@pytest.mark.parametrize("field", ["Authorization: Bearer ", "X-API-Key: "])
async def test_one_lookup_is_enough_for_a_secret_of_another_system(
    service: Service, port: int, taken_the_long_way: list[bytes], field: str
) -> None:
    rows = [
        ImportedSecret(
            NewToken(secret, int(service.clock()) + 9999),
            sha256(secret.encode()).digest(),
            last_eight=last_eight_of(secret),
        )
        for secret in (UUID, HEX)
    ]
    await service.rules.managed.imports.take(list(rows), ADMIN, None)
    assert [await ask(port, field, secret) for secret in (UUID, HEX, UUID)] == [b"200"] * 3
    assert taken_the_long_way == []
    counts, unknown = service.fast_path.validations, (NO_KIND, Outcome.UNKNOWN)
    before = counts[unknown]
    assert await ask(port, field, STRANGER) == b"401"
    assert (taken_the_long_way, counts[unknown] - before) == ([STRANGER.encode()], 1)


async def test_while_it_is_not_known_whose_secrets_are_here_none_is_called_bad(service: Service, port: int) -> None:
    imported = service.rules.authority.imported
    imported.rules, imported.unread = (), True
    assert await ask(port, "X-API-Key: ", STRANGER) == b"503"
    imported.unread = False
    assert await ask(port, "X-API-Key: ", STRANGER) == b"401"
