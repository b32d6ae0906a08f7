"""Sessions: made with a password, ended by their holder, by an administrator, by time or by a changed account."""

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from service.app import Service
from service.errors import NotFound, RateLimited, StoreUnavailable
from service.model import Kind, Outcome, Role
from service.store import sessions as session_store
from service.tokens.accounts.accounts import Account, read_accounts
from service.tokens.accounts.login import InvalidCredentials
from tests.builders import ADDRESS, ADMIN, DAY, actions, all_keys, at, audit, create, outcome, sign_in, until
from tests.conftest import PASSWORD, SERVER_KEY, Clock, MakeService, TurnTime
from tests.links import away
from tests.tokens.test_limits import full


async def test_no_session_works_that_no_index_has(still: Service) -> None:
    for shard in still.stores.shards:
        await shard.link.execute("SET", shard.keys.session_index, "")
    with pytest.raises(StoreUnavailable):
        await still.rules.sessions.sign_in("vera", PASSWORD, at(ADDRESS))
    assert not [key for key in await all_keys(still) if key.split(b":")[2] == b"c"]


async def test_a_right_password_is_traded_for_a_session_of_a_day(still: Service) -> None:
    signed_in = await still.rules.sessions.sign_in("vera", PASSWORD, at(ADDRESS))
    assert signed_in.account.role is Role.VIEWER
    assert signed_in.expires_at == pytest.approx(still.clock() + DAY, abs=2)
    verdict = await still.rules.sessions.check(signed_in.secret.encode())
    assert verdict.credential is not None
    assert (verdict.outcome, verdict.credential.kind, verdict.credential.subject) == (
        Outcome.ACTIVE,
        Kind.SESSION,
        "vera",
    )
    (entry,) = await audit(still)
    assert (entry.action, entry.actor, entry.target, entry.address) == (
        "session.created",
        "vera",
        verdict.credential.token_id,
        ADDRESS,
    )


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("vera", "wrong"),
        ("vera", ""),
        ("nobody", PASSWORD),
        ("", ""),
        ("VERA", PASSWORD),
        ("vera ", PASSWORD),
        ("vera", PASSWORD + " "),
        ("vera", "p" * 5000),
        ("\x00", "\x00"),
    ],
)
async def test_anything_else_is_refused_in_the_same_words(still: Service, username: str, password: str) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        await still.rules.sessions.sign_in(username, password, at(ADDRESS))
    assert (caught.value.detail, caught.value.code) == ("That name and password do not match.", "invalid_credentials")
    assert caught.value.tries_left == 4
    assert await actions(still) == ["login.failed"]


async def test_a_session_ended_by_its_holder_is_refused_and_ending_it_again_is_harmless(still: Service) -> None:
    secret, other = await sign_in(still), await sign_in(still)
    assert await still.rules.sessions.end(secret, at(ADDRESS))
    assert await outcome(still, secret) == "unknown"
    assert await outcome(still, other) == "active"
    assert not await still.rules.sessions.end(secret, at(ADDRESS))
    assert await actions(still) == ["session.created", "session.created", "session.revoked"]


@pytest.mark.parametrize("secret", [b"", b"x", b"a" * 64, b"0" * 32])
async def test_ending_what_is_no_session_ends_nothing(still: Service, secret: bytes) -> None:
    assert not await still.rules.sessions.end(secret, at(ADDRESS))
    assert await actions(still) == []


async def test_a_managed_token_is_not_ended_as_a_session(still: Service) -> None:
    created = await create(still)
    assert not await still.rules.sessions.end(created.secret.encode(), at(ADDRESS))
    assert await outcome(still, created.secret) == "active"


async def test_all_sessions_of_one_user_end_and_nobody_elses(still: Service) -> None:
    secrets = [await sign_in(still) for _ in range(3)]
    other = await sign_in(still, "vera")
    assert await still.rules.sessions.end_all("admin", at(ADDRESS)) == 3
    assert {await outcome(still, secret) for secret in secrets} == {Outcome.UNKNOWN}
    assert await outcome(still, other) == "active"
    assert (await still.rules.managed.queries.statistics()).sessions == 1
    assert await still.rules.sessions.end_all("admin", at(ADDRESS)) == 0
    assert await outcome(still, await sign_in(still)) == "active"


@pytest.mark.parametrize("shards", [1, 16])
async def test_while_the_server_key_changes_each_process_ends_the_sessions_of_the_others(
    make_service: MakeService, shards: int
) -> None:
    """Some have the new key as their present one, some as their previous one: it is the other way round there."""
    new_key = "the next server key, long enough too"
    one = await make_service(shards=shards, background=False, secret_key_previous=new_key)
    other = await make_service(shards=shards, background=False, secret_key=new_key, secret_key_previous=SERVER_KEY)
    for here, there in ((one, other), (other, one)):
        for name in ("admin", "vera", "uma"):
            secrets = [await sign_in(there, name) for _ in range(3)] + [await sign_in(here, name)]
            assert await here.rules.sessions.end(secrets[0], at(ADDRESS))
            assert await outcome(there, secrets[0]) == "unknown"
            assert await here.rules.sessions.end_all(name, at(ADDRESS)) == 3
            assert {await outcome(there, secret) for secret in secrets} == {Outcome.UNKNOWN}
        assert (await here.rules.managed.queries.statistics()).sessions == 0
    assert Counter(await actions(one)) == {"session.created": 24, "session.revoked": 12}


async def test_on_a_full_server_a_user_is_logged_out_everywhere_all_the_same(still: Service) -> None:
    secrets = [await sign_in(still) for _ in range(2)]
    for count in (2, 0):
        async with full(still):
            assert await still.rules.sessions.end_all("admin", at(ADDRESS)) == count
    assert {await outcome(still, secret) for secret in secrets} == {Outcome.UNKNOWN}
    assert await outcome(still, await sign_in(still)) == "active"


async def test_no_session_survives_that_was_signed_in_while_its_account_was_disabled(still: Service) -> None:
    """Disabled at every moment of five sign-ins, then enabled again: only what began afterwards may live."""
    password_hash = still.rules.accounts.known.any_hash()
    assert password_hash is not None
    enabled = Account(password_hash, Role.ADMIN)
    for turns in range(12):
        signing_in = [asyncio.create_task(sign_in(still, address=f"192.0.2.{number}")) for number in range(5)]
        for _ in range(turns * 3):
            await asyncio.sleep(0)
        still.rules.accounts.known.replace({"admin": msgspec.structs.replace(enabled, disabled=True)})
        await still.rules.sessions.end_all("admin", at(ADDRESS))
        answers = await asyncio.gather(*signing_in, return_exceptions=True)
        still.rules.accounts.known.replace({"admin": enabled})
        secrets = [answer for answer in answers if isinstance(answer, bytes)]
        assert {await outcome(still, secret) for secret in secrets} <= {Outcome.UNKNOWN}
        assert all(isinstance(a, bytes | InvalidCredentials | RateLimited) for a in answers)
        assert (await still.rules.managed.queries.statistics()).sessions == 0


async def test_a_log_out_between_the_password_and_the_record_makes_no_session(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    matches = still.rules.accounts.passwords.matches

    async def matches_slowly(password_hash: str, password: str) -> bool:
        right = await matches(password_hash, password)
        await still.rules.sessions.end_all("admin", at(ADDRESS))
        return right

    monkeypatch.setattr(still.rules.accounts.passwords, "matches", matches_slowly)
    with pytest.raises(InvalidCredentials):
        await sign_in(still)
    assert (await still.rules.managed.queries.statistics()).sessions == 0


async def test_a_changed_password_refuses_the_sessions_made_with_the_old_one_by_itself(still: Service) -> None:
    """Whether or not Redis can be told to end them."""
    secret = await sign_in(still, "vera")
    account = still.rules.accounts.known.get("vera")
    assert account is not None
    still.rules.accounts.known.replace(
        {"vera": msgspec.structs.replace(account, password_hash=account.password_hash[:-4] + "AAAA")}
    )
    assert await outcome(still, secret) == "unknown"
    still.rules.accounts.known.replace({})
    assert await outcome(still, secret) == "unknown"
    still.rules.accounts.known.replace({"vera": account})
    assert await outcome(still, secret) == "active"


async def reload(service: Service, path: Path) -> None:
    """What SIGHUP brings about."""
    await service.rules.sessions.reload_accounts(path)


async def test_without_redis_a_reload_is_in_force_all_the_same(
    make_service: MakeService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = await make_service(background=False, wrap=away)
    path = tmp_path / "accounts.toml"
    path.write_text("")
    await reload(service, path)
    assert len(service.rules.accounts.known) == 0
    assert "ended sessions will be counted until they expire" in caplog.messages


async def test_without_an_accounts_file_a_reload_leaves_nobody(still: Service) -> None:
    await still.rules.sessions.reload_accounts(None)
    assert len(still.rules.accounts.known) == 0


@pytest.mark.parametrize("change", ["removed", "disabled", "another password"])
async def test_what_changed_in_the_accounts_file_while_no_process_ran_ends_sessions_at_the_start(
    make_service: MakeService, tmp_path: Path, accounts_file: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(accounts_file.read_text())
    monkeypatch.setattr(session_store, "_PAGE", 1)
    before = await make_service(accounts_file=str(path), background=False)
    await sign_in(before, "vera"), await sign_in(before, "vera")
    kept = await sign_in(before, "uma")
    path.write_text(changed(path, change))
    after = await make_service(accounts_file=str(path))

    async def is_counted_alone() -> bool:
        return (await after.rules.managed.queries.statistics()).sessions == 1

    await until(is_counted_alone)
    assert await outcome(after, kept) == "active"
    ended = [entry for entry in await audit(after) if entry.action == "session.revoked"]
    assert [(entry.actor, entry.channel, entry.after) for entry in ended] == [
        ("operator", "start", {"username": "vera"})
    ] * 2


async def test_a_session_is_found_by_its_id_among_more_than_one_page(
    still: Service, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_store, "_PAGE", 1)
    secrets = []
    for _ in range(3):
        secrets.append(await sign_in(still, "uma"))
        clock.forward(1)
    sessions = still.rules.sessions
    *_, (first, _) = await sessions.listed("uma", 10)
    await sessions.end_one("uma", first.token_id, ADMIN)
    assert [await outcome(still, secret) is Outcome.ACTIVE for secret in secrets] == [False, True, True]
    with pytest.raises(NotFound):
        await sessions.end_one("uma", first.token_id, ADMIN)


def changed(path: Path, change: str) -> str:
    """The text of an accounts file with a change of `vera`."""
    text = path.read_text()
    table = text[text.index("[accounts.vera]") : text.index("[accounts.uma]")]
    hashed = read_accounts(path)["vera"].password_hash
    becomes = {
        "removed": "",
        "disabled": table + "disabled = true\n",
        "another password": table.replace(hashed, hashed[:-4] + "AAAA"),
    }
    return text.replace(table, becomes[change])


@pytest.mark.parametrize("change", ["removed", "disabled", "another password"])
async def test_a_changed_account_ends_its_sessions_at_the_reload_and_no_others(
    make_service: MakeService, tmp_path: Path, accounts_file: Path, change: str
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(accounts_file.read_text())
    services = [await make_service(accounts_file=str(path), background=False) for _ in range(2)]
    ended, kept = await sign_in(services[0], "vera"), await sign_in(services[0], "uma")
    path.write_text(changed(path, change))
    assert await outcome(services[0], ended) == "active"
    for service in services:
        await reload(service, path)
        assert await outcome(service, ended) == "unknown"
        assert await outcome(service, kept) == "active"
    assert (await services[0].rules.managed.queries.statistics()).sessions == 1
    assert (await actions(services[0])).count("account.reloaded") == 2


async def test_on_a_full_server_a_reload_ends_sessions_all_the_same(
    make_service: MakeService, tmp_path: Path, accounts_file: Path
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(accounts_file.read_text())
    service = await make_service(accounts_file=str(path), background=False)
    await sign_in(service, "vera"), await sign_in(service, "uma")
    path.write_text(changed(path, "removed"))
    async with full(service):
        await reload(service, path)
    assert (await service.rules.managed.queries.statistics()).sessions == 1


async def test_a_session_made_with_a_password_that_is_changed_meanwhile_is_refused(
    still: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the reload that changed it did not reach Redis, where it would have refused the session."""
    known, passwords = still.rules.accounts.known, still.rules.accounts.passwords
    password_hash, matches = known.any_hash() or "", passwords.matches

    async def changed_meanwhile(*given: str) -> bool:
        is_right = await matches(*given)
        known.replace({"vera": Account(password_hash[:-4] + "AAAA")})
        return is_right

    monkeypatch.setattr(passwords, "matches", changed_meanwhile)
    assert await outcome(still, await sign_in(still, "vera")) == "unknown"


async def test_a_broken_accounts_file_leaves_the_accounts_as_they_were(
    make_service: MakeService, tmp_path: Path, accounts_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(accounts_file.read_text())
    service = await make_service(accounts_file=str(path), background=False)
    secret = await sign_in(service)
    for broken in ("[accounts", '[accounts.admin]\npassword = "clear"'):
        path.write_text(broken)
        await reload(service, path)
        assert await outcome(service, secret) == "active"
    path.unlink()
    await reload(service, path)
    assert await outcome(service, await sign_in(service)) == "active"
    assert len([record for record in caplog.records if "accounts were not reloaded" in record.message]) == 3
    assert await actions(service) == ["session.created"] * 2
    path.touch()
    await reload(service, path)
    assert f"{path} has no administrator: token-service accounts add NAME --role admin" in caplog.messages


async def counted(service: Service) -> int:
    return (await service.rules.managed.queries.statistics()).sessions


async def test_a_session_ends_when_it_is_not_used_for_its_idle_time(
    make_service: MakeService, turn_time: TurnTime
) -> None:
    service = await make_service(fake=True, session_idle_seconds=600)
    used, unused = await sign_in(service), await sign_in(service)
    assert await counted(service) == 2
    for _ in range(5):
        turn_time(400)
        assert await outcome(service, used) == "active"
        await service.rules.usage.flush()
        await service.rules.managed.sweeper.sweep()
    assert await outcome(service, unused) == "unknown"
    assert await counted(service) == len(await service.rules.sessions.listed("", 50)) == 1
    turn_time(601)
    assert await outcome(service, used) == "unknown"
    assert await counted(service) == 0


async def test_use_does_not_draw_out_the_full_time_of_a_session(make_service: MakeService, turn_time: TurnTime) -> None:
    service = await make_service(fake=True, session_idle_seconds=600, session_ttl_seconds=1000)
    secret = await sign_in(service)
    for _ in range(2):
        turn_time(450)
        assert await outcome(service, secret) == "active"
        await service.rules.usage.flush()
    turn_time(101)
    assert not (await service.rules.sessions.check(secret)).active


async def test_without_an_idle_time_an_unused_session_lives_its_day(faked: Service, turn_time: TurnTime) -> None:
    secret = await sign_in(faked)
    turn_time(DAY - 5)
    assert await outcome(faked, secret) == "active"
    turn_time(6)
    assert await outcome(faked, secret) == "unknown"


async def last_seen(service: Service) -> list[int]:
    await service.rules.usage.flush()
    return [used_at for _, used_at in await service.rules.sessions.listed("", 50)]


@pytest.mark.parametrize("idle", [0, 600])
async def test_a_session_tells_when_it_was_used_last_until_it_ends(
    make_service: MakeService, turn_time: TurnTime, idle: int
) -> None:
    service = await make_service(fake=True, session_idle_seconds=idle)
    secret, _ = await sign_in(service), await sign_in(service)
    assert await last_seen(service) == [0, 0]
    for _ in range(3):
        turn_time(400)
        assert await outcome(service, secret) == "active"
        used_at = int(service.clock())
        await service.rules.usage.flush()
    turn_time(5)
    await service.rules.managed.sweeper.sweep()
    # The one that nobody used is gone with its idle time.
    assert sorted(await last_seen(service)) == pytest.approx([0] * (not idle) + [used_at], abs=1)
    assert await counted(service) == 2 - bool(idle)
    await service.rules.sessions.end_all("admin", at(ADDRESS))
    await service.rules.sessions.check(secret)
    assert await last_seen(service) == []
    assert not [key for key in await all_keys(service) if key.split(b":")[2] in (b"c", b"six")]


async def test_who_is_refused_with_a_session_was_seen_all_the_same(still: Service, clock: Clock) -> None:
    secret = await sign_in(still)
    clock.forward(60)
    verdict = await still.rules.authority.verify(secret, (Kind.SESSION,), required=("orders:read",))
    assert verdict.outcome is Outcome.INSUFFICIENT_SCOPE
    assert await last_seen(still) == pytest.approx([clock()], abs=2)


@pytest.mark.parametrize("idle", [0, 600])
async def test_on_a_full_server_sessions_are_seen_and_go_on(make_service: MakeService, idle: int) -> None:
    service = await make_service(background=False, session_idle_seconds=idle)
    secret = await sign_in(service)
    async with full(service):
        assert await outcome(service, secret) == "active"
        (used_at,) = await last_seen(service)
    assert used_at == pytest.approx(service.clock(), abs=60)


async def test_what_somebody_else_keeps_in_their_place_holds_neither_sign_ins_nor_usage_up(still: Service) -> None:
    for shard in still.stores.shards:
        await shard.link.execute("SET", shard.keys.sign_ins, "")
    secret, created = await sign_in(still), await create(still)
    assert [await outcome(still, one) for one in (secret, created.secret)] == ["active"] * 2
    for shard in still.stores.shards:
        await shard.link.execute("SET", shard.keys.session_index, "")
    await still.rules.usage.flush()
    assert (await still.rules.managed.tokens.get(created.token.token_id)).last_used_at == pytest.approx(
        still.clock(), abs=2
    )
    assert "tokens_usage_dropped_total 0.0" in (await still.metrics.render(""))[0].decode()


async def test_each_account_tells_when_it_signed_in_last(still: Service, clock: Clock) -> None:
    names, sessions = ("admin", "uma", "vera"), still.rules.sessions
    assert await sessions.last_sign_ins(names) == [0, 0, 0]
    clock.now = at_first = int(clock())
    for name in names[1:]:
        await sign_in(still, name)
    clock.forward(100)
    await sign_in(still, "vera")
    assert await sessions.last_sign_ins(names) == [0, at_first, at_first + 100]
    with pytest.raises(InvalidCredentials):
        await sessions.sign_in("admin", "wrong", at(ADDRESS))
    await sessions.end_all("vera", at(ADDRESS))
    assert await sessions.last_sign_ins(names) == [0, at_first, at_first + 100]
    assert await sessions.last_sign_ins([]) == []


async def test_a_changed_server_key_keeps_the_last_sign_ins(make_service: MakeService, clock: Clock) -> None:
    new_key = "the next server key, long enough too"
    one = await make_service(background=False, secret_key_previous=new_key)
    other = await make_service(background=False, secret_key=new_key, secret_key_previous=SERVER_KEY)
    clock.now = int(clock())
    for here in (one, other, one):
        await sign_in(here, "vera")
        told = [await service.rules.sessions.last_sign_ins(["vera"]) for service in (one, other)]
        assert told == [[int(clock())]] * 2
        clock.forward(100)


async def test_a_program_with_a_right_password_is_known_without_a_session(still: Service) -> None:
    for _ in range(10):
        account = await still.rules.accounts.login.check_password("vera", PASSWORD, at(ADDRESS))
    assert account.role is Role.VIEWER
    assert (await still.rules.managed.queries.statistics()).sessions == 0
    assert await actions(still) == []
