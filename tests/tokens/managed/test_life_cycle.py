"""The life of a managed token: created under a name of its own, its fields edited; its credential follows at once."""

import asyncio
from typing import Any

import msgspec
import pytest

from service.app import Service
from service.errors import Conflict, InvalidRequest, NotFound, StoreUnavailable
from service.model import Kind, Outcome, RateLimit, Status
from service.store.managed.tokens import ManagedStore
from service.tokens.managed.tokens import NewToken
from tests.builders import ADMIN, DAY, actions, audit, create, outcome, refused, update
from tests.conftest import Clock, MakeService

NEVER_WAS = "00" + "f" * 14


async def test_a_created_token_is_active_and_known_by_its_masked_end(still: Service) -> None:
    created = await create(still, "ci", scopes=("a",), subject="bob")
    token = created.token
    assert await still.rules.managed.tokens.get(token.token_id) == token
    assert token.status(still.clock()) is Status.ACTIVE
    assert token.last_eight == created.secret[-8:]
    assert created.secret not in repr(token)
    verdict = await still.rules.authority.verify(created.secret.encode(), (Kind.MANAGED,))
    assert verdict.outcome is Outcome.ACTIVE
    credential = verdict.credential
    assert credential is not None
    assert (credential.token_id, credential.subject, credential.scopes, credential.name, credential.client) == (
        token.token_id,
        "bob",
        ("a",),
        "ci",
        "admin",
    )


async def test_without_a_subject_a_token_speaks_for_nobody(still: Service) -> None:
    created = await create(still)
    verdict = await still.rules.authority.verify(created.secret.encode(), (Kind.MANAGED,))
    assert verdict.credential is not None
    assert (verdict.credential.subject, verdict.credential.client) == ("", "admin")


async def test_of_twenty_tokens_created_under_one_name_at_once_exactly_one_is(
    make_service: MakeService, still: Service
) -> None:
    rivals = await asyncio.gather(*[create(still, "wanted") for _ in range(20)], return_exceptions=True)
    made = [rival for rival in rivals if not isinstance(rival, Conflict)]
    assert len(made) == 1
    assert {rival.code for rival in rivals if isinstance(rival, Conflict)} == {"name_taken"}
    assert await actions(still) == ["token.created"]


async def test_four_processes_agree_who_has_a_name(make_service: MakeService) -> None:
    processes = [await make_service(shards=16, background=False) for _ in range(4)]
    for round_number in range(10):
        racing = [create(process, f"wanted {round_number}") for process in processes for _ in range(5)]
        answers = await asyncio.gather(*racing, return_exceptions=True)
        assert len([answer for answer in answers if not isinstance(answer, Conflict)]) == 1


async def test_creations_in_one_moment_keep_their_order(still: Service) -> None:
    tokens = [created.token for created in await asyncio.gather(*[create(still, f"{number}") for number in range(20)])]
    births = [token.created_micros for token in tokens]
    assert births == sorted(set(births))


async def test_creations_under_a_clock_that_stands_still_or_goes_back_keep_their_order(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await make_service(background=False, max_lifetime_days=0)
    readings = iter([1000.0, 1000.0, 1000.0, 999.0, 1000.0, 2000.0] * 4)
    monkeypatch.setattr(service.rules.managed.tokens, "_clock", lambda: next(readings))
    births = [(await create(service, f"{number}", days=0)).token.created_micros for number in range(4)]
    assert births == sorted(set(births))


@pytest.mark.parametrize(("days", "refused"), [(0, True), (-1, True), (365, False), (366, True)])
async def test_the_lifetime_is_bounded(still: Service, days: int, *, refused: bool) -> None:
    if refused:
        with pytest.raises(InvalidRequest) as caught:
            await create(still, days=days)
        assert caught.value.fields[0][0] == "expiresAt"
        assert await actions(still) == []
    else:
        await create(still, days=days)


async def test_a_token_may_live_for_ever_where_that_is_allowed(make_service: MakeService, clock: Clock) -> None:
    service = await make_service(background=False, max_lifetime_days=0)
    created = await create(service, days=0)
    clock.forward(20_000 * DAY)
    assert await outcome(service, created.secret) == "active"
    assert created.token.expires_at == 0


CHANGES: dict[str, Any] = {
    "name": "new name",
    "description": "what it is for",
    "subject": "carol",
    "scopes": ("b:*",),
    "rate_limits": (RateLimit(5, 60),),
    "networks": ("10.0.0.0/8",),
    "metadata": {"team": "ops"},
    "max_uses": 3,
}


@pytest.mark.parametrize("field", [field for field in NewToken.__struct_fields__ if field != "expires_at"])
async def test_each_field_is_changed_alone_and_told_with_what_it_was(still: Service, field: str) -> None:
    token = (await create(still, "ci", subject="bob", scopes=("a",))).token
    changed = await update(still, token, **{field: CHANGES[field]})
    # To give an old name up it is asked whether the token went back to it, which is counted in the record.
    found = await still.rules.managed.tokens.get(token.token_id)
    assert msgspec.structs.replace(found, contests=0) == changed
    differing = {name for name in token.__struct_fields__ if getattr(token, name) != getattr(changed, name)}
    assert differing == {field, "version"} | ({"uses_left"} if field == "max_uses" else set())
    entry = (await audit(still))[-1]
    assert (entry.action, entry.actor, entry.target) == ("token.updated", "admin", token.token_id)
    assert entry.after is not None
    assert list(entry.after) == [field]


async def test_the_credential_follows_each_change_at_once(still: Service) -> None:
    created = await create(still, "ci", scopes=("a",))
    token, secret = created.token, created.secret
    await update(still, token, scopes=("b",))
    assert await outcome(still, secret, required=("a",)) == "insufficient_scope"
    assert await outcome(still, secret, required=("b",)) == "active"
    await update(still, token, networks=("10.0.0.0/8",))
    assert await outcome(still, secret, address="192.0.2.1") == "network_denied"
    await update(still, token, networks=(), subject="carol", name="new")
    verdict = await still.rules.authority.verify(secret.encode(), (Kind.MANAGED,))
    assert verdict.credential is not None
    assert (verdict.credential.subject, verdict.credential.name) == ("carol", "new")


async def test_a_new_expiry_is_in_force_at_once(still: Service, clock: Clock) -> None:
    created = await create(still, days=10)
    now = int(still.clock())
    await update(still, created.token, expires_at=now + 300 * DAY)
    clock.forward(20 * DAY)
    assert await outcome(still, created.secret) == "active"
    await update(still, created.token, expires_at=now + 21 * DAY)
    clock.forward(2 * DAY)
    assert await outcome(still, created.secret) == "expired"


@pytest.mark.parametrize("days", [-1, 0, 366])
async def test_an_expiry_beyond_the_policy_is_refused_on_edit_too(still: Service, days: int) -> None:
    token = (await create(still)).token
    expires_at = int(still.clock()) + days * DAY if days else 0
    assert await refused(still, token, expires_at=expires_at) == "invalid_request"
    assert await still.rules.managed.tokens.get(token.token_id) == token


async def test_a_change_that_changes_nothing_is_not_written(still: Service) -> None:
    token = (await create(still, "ci", description="x")).token
    assert await update(still, token, description="x", name="ci", active=True) == token
    assert await actions(still) == ["token.created"]


async def test_what_never_was_is_not_found(still: Service) -> None:
    for asked in (
        still.rules.managed.tokens.get(NEVER_WAS),
        still.rules.managed.tokens.update(NEVER_WAS, {"active": False}, ADMIN),
        still.rules.managed.tokens.update(NEVER_WAS, {"name": "x"}, ADMIN),
        still.rules.managed.tokens.revoke(NEVER_WAS, ADMIN),
        still.rules.managed.tokens.get("not an id"),
    ):
        with pytest.raises(NotFound):
            await asked


async def test_racing_edits_are_all_written_one_after_the_other(still: Service) -> None:
    token = (await create(still)).token
    changes: list[dict[str, Any]] = [
        {"description": "d"},
        {"subject": "s"},
        {"metadata": {"m": "m"}},
        {"scopes": ("x",)},
    ]
    await asyncio.gather(*[update(still, token, **change) for change in changes])
    record = await still.rules.managed.tokens.get(token.token_id)
    assert (record.description, record.subject, record.metadata, record.scopes) == ("d", "s", {"m": "m"}, ("x",))
    assert record.version == 5


@pytest.mark.parametrize("change", ["edit", "revoke"])
async def test_a_token_that_never_stands_still_is_not_changed_for_ever(
    still: Service, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Another change comes between each reading and the write, until the tries are used up."""
    token = (await create(still)).token

    async def lose(*_: Any, **__: Any) -> Any:
        return [-1 if change == "revoke" else False]

    monkeypatch.setattr(ManagedStore, "end" if change == "revoke" else "update", lose)
    changing = (
        still.rules.managed.tokens.revoke(token.token_id, ADMIN)
        if change == "revoke"
        else update(still, token, description="x")
    )
    with pytest.raises(StoreUnavailable, match="keeps changing"):
        await changing
