"""Many secrets at once: what is kept of them between two questions, and what changes while one is answered."""

import asyncio
from hashlib import sha256

import pytest

from service.app import Service
from service.model import Kind, Outcome, Verdict
from service.tokens.batch import Batch, Known
from service.tokens.credential import DecodedCredential
from service.tokens.managed.import_admission import ImportedSecret
from service.tokens.managed.tokens import NewToken
from service.tokens.secret import mint
from tests.builders import ADMIN, DAY, create
from tests.conftest import MakeService
from tests.links import Interrupted, Recording


def batch_of(service: Service) -> Batch:
    return Batch(service.rules.authority, service.stores.credentials)


def outcomes(known: list[Known]) -> list[Outcome]:
    return [(one if isinstance(one, Verdict) else one.active).outcome for one in known]


@pytest.mark.parametrize("shards", [1, 16])
async def test_the_second_answer_is_of_the_second_moment(make_service: MakeService, shards: int) -> None:
    service = await make_service(shards=shards, background=False)
    kept, ended = [await create(service, name) for name in ("kept", "ended")]
    batch, secrets = batch_of(service), [kept.secret, ended.secret, kept.secret, "x"]
    active, revoked, none = Outcome.ACTIVE, Outcome.REVOKED, Outcome.MALFORMED
    assert outcomes(await batch.peek(secrets, ())) == [active, active, active, none]
    await service.rules.managed.tokens.revoke(ended.token.token_id, ADMIN)
    assert outcomes(await batch.peek(secrets, ())) == [active, revoked, active, none]


async def test_those_that_are_gone_are_asked_about_together(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Recording)
    secrets = [mint(Kind.MANAGED), mint(Kind.MANAGED), mint(Kind.SESSION)]
    link = service.stores.shards[0].link
    link.asked.clear()
    assert outcomes(await batch_of(service).peek(secrets, ())) == [Outcome.UNKNOWN] * 3
    assert link.names() == ["MGET", "MGET"]


async def test_secrets_are_let_go(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.tokens.batch._KEPT_SECONDS", 0)
    batch, created = batch_of(still), await create(still)
    assert isinstance((await batch.peek([created.secret], ()))[0], DecodedCredential)
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0, later.set)
    await later.wait()
    assert not batch._digests


async def test_a_token_switched_on_between_two_reads_is_active(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    created, switch = await create(service), service.rules.managed.tokens.update
    await switch(created.token.token_id, {"active": False}, ADMIN)
    service.stores.shards[0].link.after["MGET"] = [lambda: switch(created.token.token_id, {"active": True}, ADMIN)]
    assert outcomes(await batch_of(service).peek([created.secret], ())) == [Outcome.ACTIVE]


async def test_a_secret_of_another_system_is_known_as_soon_as_it_is_taken_in(still: Service) -> None:
    secret = mint(Kind.MANAGED)
    batch, new = batch_of(still), NewToken("gate", int(still.clock()) + DAY)
    assert outcomes(await batch.peek([secret], ())) == [Outcome.UNKNOWN]
    await still.rules.managed.imports.take([ImportedSecret(new, sha256(secret.encode()).digest())], ADMIN)
    assert outcomes(await batch.peek([secret], ())) == [Outcome.ACTIVE]
