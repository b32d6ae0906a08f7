"""One truth about a token: whatever tells its state tells the same one, in every state there is."""

from collections.abc import Awaitable, Callable
from hashlib import sha256

import pytest

from service.app import Service
from service.model import ManagedToken
from service.tokens.managed.import_admission import ImportedSecret
from service.tokens.managed.tokens import NewToken
from tests.asgi import Person, sign_in
from tests.builders import ADMIN, DAY, create, update
from tests.conftest import SHARDS, Clock, MakeService

TOKENS = "/api/admin/tokens"
STATUSES = ("active", "inactive", "expired", "revoked")
MONTH = 30 * DAY
HALF_A_DAY = DAY // 2


class Made:
    """Tokens of one service, and what is done to them."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self.service = service
        self.clock = clock

    async def token(self, name: str = "t", days: float = 30, **terms: object) -> tuple[str, ManagedToken]:
        made = await create(self.service, name, days=days, **terms)
        return made.secret, made.token

    async def imported(self) -> tuple[str, ManagedToken]:
        secret = "a-secret-of-another-system"
        new = NewToken("t", int(self.clock()) + MONTH)
        line = ImportedSecret(new, sha256(secret.encode()).digest())
        assert (await self.service.rules.managed.imports.take([line], ADMIN)) == [None]
        page = await (await sign_in(self.service)).get(TOKENS)
        return secret, await self.service.rules.managed.tokens.get(page.json()["tokens"][0]["id"])

    async def off(self, token: ManagedToken) -> None:
        await update(self.service, token, active=False)

    async def revoke(self, token: ManagedToken) -> None:
        await self.service.rules.managed.tokens.revoke(token.token_id, ADMIN)

    async def rotate(self, token: ManagedToken, overlap: int) -> str:
        rotated = await self.service.rules.managed.rotation.rotate(token.token_id, ADMIN, overlap_seconds=overlap)
        return rotated.secret

    async def derive(self, secret: str) -> str:
        answer = await Person(self.service, secret).post("/api/tokens/self/derive", {})
        return str(answer.json()["token"]["token"])


@pytest.fixture(params=SHARDS)
async def aging(request: pytest.FixtureRequest, make_service: MakeService, fake_clock: Clock) -> Service:
    """One whose tokens may live for ever."""
    return await make_service(shards=request.param, fake=True, max_lifetime_days=0)


# The secret that is asked about.
State = Callable[[Made], Awaitable[str]]


async def active(made: Made) -> str:
    return (await made.token())[0]


async def imported(made: Made) -> str:
    return (await made.imported())[0]


async def imported_and_off(made: Made) -> str:
    secret, token = await made.imported()
    await made.off(token)
    return secret


async def off(made: Made) -> str:
    secret, token = await made.token()
    await made.off(token)
    return secret


async def off_for_ever(made: Made) -> str:
    secret, token = await made.token(days=0)
    await made.off(token)
    return secret


async def off_and_on(made: Made) -> str:
    secret, token = await made.token()
    await made.off(token)
    await update(made.service, token, active=True)
    return secret


async def expired(made: Made) -> str:
    secret, _ = await made.token(days=0.5)
    made.clock.forward(HALF_A_DAY)
    return secret


async def off_and_expired(made: Made) -> str:
    secret, token = await made.token(days=0.5)
    await made.off(token)
    made.clock.forward(HALF_A_DAY)
    return secret


async def off_and_expired_by_a_date_given_since(made: Made) -> str:
    secret, token = await made.token()
    await made.off(token)
    await update(made.service, token, expires_at=int(made.clock()) + HALF_A_DAY)
    made.clock.forward(HALF_A_DAY)
    return secret


async def off_with_a_later_date(made: Made) -> str:
    secret, token = await made.token(days=0.5)
    await made.off(token)
    await update(made.service, token, expires_at=int(made.clock()) + MONTH)
    made.clock.forward(HALF_A_DAY)
    return secret


async def revoked(made: Made) -> str:
    secret, token = await made.token()
    await made.revoke(token)
    return secret


async def off_and_revoked(made: Made) -> str:
    secret, token = await made.token()
    await made.off(token)
    await made.revoke(token)
    return secret


async def revoked_and_past_its_date(made: Made) -> str:
    secret, token = await made.token(days=0.5)
    await made.revoke(token)
    made.clock.forward(HALF_A_DAY)
    return secret


async def expired_and_revoked(made: Made) -> str:
    secret, token = await made.token(days=0.5)
    made.clock.forward(HALF_A_DAY)
    await made.revoke(token)
    return secret


async def used_up(made: Made) -> str:
    secret, _ = await made.token(max_uses=1)
    assert (await Person(made.service, secret).get("/validate")).status == 200
    return secret


async def in_overlap(made: Made) -> str:
    secret, token = await made.token()
    await made.rotate(token, HALF_A_DAY)
    return secret


async def rotated(made: Made) -> str:
    _, token = await made.token()
    return await made.rotate(token, 0)


async def replaced(made: Made) -> str:
    secret, token = await made.token()
    await made.rotate(token, 0)
    return secret


async def in_overlap_and_off(made: Made) -> str:
    secret, token = await made.token()
    await made.rotate(token, HALF_A_DAY)
    await made.off(token)
    return secret


async def derived(made: Made) -> str:
    return await made.derive((await made.token(scopes=("self:derive",)))[0])


async def derived_of_one_off(made: Made) -> str:
    secret, token = await made.token(scopes=("self:derive",))
    below = await made.derive(secret)
    await made.off(token)
    return below


# Its record's status, and what is said of the secret where that is something else.
STATES: list[tuple[State, str, str]] = [
    (active, "active", ""),
    (imported, "active", ""),
    (imported_and_off, "inactive", ""),
    (off, "inactive", ""),
    (off_for_ever, "inactive", ""),
    (off_and_on, "active", ""),
    (expired, "expired", ""),
    (off_and_expired, "expired", ""),
    (off_and_expired_by_a_date_given_since, "expired", ""),
    (off_with_a_later_date, "inactive", ""),
    (revoked, "revoked", ""),
    (off_and_revoked, "revoked", ""),
    (revoked_and_past_its_date, "revoked", ""),
    (expired_and_revoked, "revoked", ""),
    (used_up, "active", "uses_exhausted"),
    (in_overlap, "active", ""),
    (rotated, "active", ""),
    # Of the token that goes on by another secret; this one is over for good, and nothing brings it back.
    (replaced, "active", "revoked"),
    (in_overlap_and_off, "inactive", "revoked"),
    (derived, "active", ""),
    (derived_of_one_off, "inactive", "revoked"),
]


@pytest.mark.parametrize("swept", [False, True], ids=["not swept", "swept"])
@pytest.mark.parametrize(("state", "status", "said"), STATES, ids=[state.__name__ for state, _, _ in STATES])
async def test_every_place_tells_the_same_state(
    aging: Service, clock: Clock, state: State, status: str, said: str, *, swept: bool
) -> None:
    secret = await state(Made(aging, clock))
    # A day before its date each process writes why a token will be gone; at its date it moves the token.
    if swept:
        await aging.rules.managed.sweeper.sweep()
    # Now, because a session of before may be over.
    admin = await sign_in(aging)
    assert await told_of_record(admin) == {(status, "listed"), (status, "shown"), (status, "counted")}
    outcome = said or status
    assert await told_of_secret(admin, secret) == {(outcome, "batch"), (outcome, "explain")}
    assert await accepted(admin, secret) == {"validate": outcome == "active", "introspect": outcome == "active"}


async def told_of_record(admin: Person) -> set[tuple[str, str]]:
    """What each place that reads the record says of the only token there is."""
    told = set()
    (token,) = (await admin.get(TOKENS, status="all")).json()["tokens"]
    for status in STATUSES:
        if (await admin.get(TOKENS, status=status)).json()["tokens"]:
            told.add((status, "listed"))
    counts = (await admin.get(f"{TOKENS}/stats")).json()
    told |= {(status, "counted") for status in STATUSES if counts[status]}
    shown = (await admin.get(f"{TOKENS}/{token['id']}")).json()
    assert shown == token
    assert shown["isActive"] == (shown["status"] == "active")
    return told | {(shown["status"], "shown")}


async def told_of_secret(admin: Person, secret: str) -> set[tuple[str, str]]:
    batch = (await admin.post("/validate/batch", {"tokens": [secret]})).json()["results"][0]
    explained = (await admin.post(f"{TOKENS}/explain", {"token": secret})).json()
    return {(batch["code"], "batch"), (explained["outcome"], "explain")}


async def accepted(admin: Person, secret: str) -> dict[str, bool]:
    form = {"content-type": "application/x-www-form-urlencoded"}
    introspected = await admin.ask("POST", "/oauth2/introspect", body=f"token={secret}".encode(), headers=form)
    validated = await Person(admin.service, secret).get("/validate")
    return {"validate": validated.status == 200, "introspect": introspected.json()["active"]}
