"""Import and export: records go out and come back exactly, and secrets of other systems open the door."""

import asyncio
import string
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from service.app import Service
from service.errors import Conflict, ServiceError, StoreUnavailable
from service.model import Kind, ManagedToken, Outcome, RateLimit, Status
from service.store.driver.scripts import Script
from service.store.managed.query import Query
from service.store.managed.records import Record
from service.tokens.audit.reader import AuditFilter
from service.tokens.managed.import_admission import Exported, ImportedSecret, last_eight_of
from service.tokens.managed.imports import DryRun
from service.tokens.managed.tokens import NewToken
from tests.builders import ADMIN, DAY, create, outcome, peeked
from tests.conftest import SERVER_KEY, Clock, MakeService
from tests.links import AWAY, Interrupted, Recording, away


async def everything(service: Service) -> dict[str, Record]:
    records = service.rules.managed.queries.everything(Query(statuses=frozenset(Status)))
    return {record.token.token_id: record async for some in records for record in some}


def imported(service: Service, secret: str, name: str, **terms: Any) -> ImportedSecret:
    new = NewToken(name, int(service.clock()) + 30 * DAY, **terms)
    return ImportedSecret(new, sha256(secret.encode()).digest(), last_eight=last_eight_of(secret))


async def take(service: Service, *rows: Exported | ImportedSecret, dry_run: DryRun | None = None) -> list[str]:
    taken = await service.rules.managed.imports.take(list(rows), ADMIN, dry_run)
    return [skipped.code if skipped else "imported" for skipped in taken]


async def varied(service: Service, clock: Clock) -> dict[str, str]:
    """A token in every state a token can be in; the secret of each by what it is."""

    async def make(name: str, **terms: Any) -> tuple[ManagedToken, str]:
        expires_at = terms.pop("expires_at", int(clock()) + 200 * DAY)
        created = await service.rules.managed.tokens.create(NewToken(name, expires_at, **terms), ADMIN)
        return created.token, created.secret

    secrets: dict[str, str] = {}
    _, secrets["plain"] = await make("plain")
    _, secrets["full"] = await make(
        "full of terms",
        description="Grüße",
        subject="svc",
        scopes=("a:b", "c:*"),
        max_uses=5,
        rate_limits=(RateLimit(10, 60, 3),),
        networks=("10.0.0.0/8",),
        metadata={"team": "zürich"},
    )
    token, secrets["off"] = await make("switched off")
    await service.rules.managed.tokens.update(token.token_id, {"active": False}, ADMIN)
    token, secrets["revoked"] = await make("revoked")
    await service.rules.managed.tokens.revoke(token.token_id, ADMIN)
    _, secrets["again"] = await make("revoked")  # the name was free again
    token, secrets["renamed"] = await make("before")
    await service.rules.managed.tokens.update(token.token_id, {"name": "after, in another shard"}, ADMIN)
    token, secrets["old"] = await make("rotated")
    rotated = await service.rules.managed.rotation.rotate(token.token_id, ADMIN, overlap_seconds=100_000)
    secrets["new"] = rotated.secret
    _, secrets["expired"] = await make("expired", expires_at=int(clock()) + 60)
    clock.forward(120)
    await service.rules.managed.sweeper.sweep()
    await outcome(service, secrets["plain"])
    await service.rules.usage.flush()
    return secrets


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 16])
async def test_an_export_opens_another_service_of_the_same_key_at_once(
    make_service: MakeService, namespace: str, fake_clock: Clock, shards: int
) -> None:
    source = await make_service(shards=shards, fake=True)
    other = await make_service(shards=shards, fake=True, namespace=f"{namespace}-b")
    secrets = await varied(source, fake_clock)
    exported = await everything(source)
    rows = [Exported(record.token, record.seal) for record in exported.values()]
    dry_run = DryRun()
    assert await take(other, *rows, dry_run=dry_run) == ["imported"] * len(rows)
    assert await take(other, *rows, dry_run=dry_run) == ["exists"] * len(rows)
    assert await take(other, *rows) == ["imported"] * len(secrets.keys() - {"old"})
    assert await take(other, *rows) == ["exists"] * len(rows)
    assert await take(other, *rows, dry_run=DryRun()) == ["exists"] * len(rows)
    assert await everything(other) == exported
    for service in (source, other):
        found = {name: await peeked(service, secret) for name, secret in secrets.items()}
        assert found == {
            "plain": "active",
            "full": "active",
            "off": "inactive",
            "revoked": "revoked",
            "again": "active",
            "renamed": "active",
            "old": "active",
            "new": "active",
            "expired": "expired",
        }
    assert await other.rules.managed.queries.statistics() == await source.rules.managed.queries.statistics()
    # From here on both do the same: names are taken, searches find, what is due goes.
    for service in (source, other):
        for name in ("plain", "after, in another shard", "rotated", "expired"):
            with pytest.raises(Conflict, match=f"is called {name}: "):
                await create(service, name, days=1)
        for text in ("after", "full of", secrets["new"][-8:]):
            tokens, _, _ = await service.rules.managed.queries.page(Query(text=text))
            assert len(tokens) == 1, text
    fake_clock.forward(DAY + 100_000)
    for service in (source, other):
        assert await peeked(service, secrets["new"]) is Outcome.ACTIVE
    fake_clock.forward(200 * DAY)
    for service in (source, other):
        await service.rules.managed.sweeper.sweep()
        assert (await service.rules.managed.queries.statistics()).expired == 6
    fake_clock.forward(31 * DAY)
    for service in (source, other):
        await service.rules.managed.sweeper.sweep()
        assert await everything(service) == {}
        assert (await create(service, "after, in another shard", days=1)).secret


@pytest.mark.parametrize(("shards", "others"), [(1, 16), (16, 1)])
async def test_an_export_of_one_redis_opens_a_cluster_and_the_other_way_round(
    make_service: MakeService, namespace: str, fake_clock: Clock, shards: int, others: int
) -> None:
    source = await make_service(shards=shards, fake=True)
    other = await make_service(shards=others, fake=True, namespace=f"{namespace}-b")
    secrets = await varied(source, fake_clock)
    exported = await everything(source)
    rows = [Exported(record.token, record.seal) for record in exported.values()]
    assert await take(other, *rows) == ["imported"] * len(rows)
    # It may be broken off and sent again.
    assert await take(other, *rows) == ["exists"] * len(rows)
    moved = await everything(other)
    assert {token_id[2:] for token_id in moved} == {token_id[2:] for token_id in exported}
    for secret in (secrets[name] for name in ("plain", "full", "off", "revoked", "again", "renamed", "new", "expired")):
        assert await peeked(other, secret) == await peeked(source, secret)
    old = next(row.token.predecessor for row in rows if row.token.predecessor)
    new = next(row.token.digest for row in rows if row.token.predecessor)
    together = old[0] % others == new[0] % others
    assert await peeked(other, secrets["old"]) == ("active" if together else "unknown")
    assert await other.rules.managed.queries.statistics() == await source.rules.managed.queries.statistics()
    for record in moved.values():
        with suppress(Conflict):
            await other.rules.managed.tokens.revoke(record.token.token_id, ADMIN)
    for secret in secrets.values():
        assert await peeked(other, secret) != "active"


async def test_a_row_is_skipped_by_the_reason(make_service: MakeService, namespace: str) -> None:
    source = await make_service(background=False)
    other = await make_service(background=False, namespace=f"{namespace}-b")
    stranger = await make_service(
        background=False, namespace=f"{namespace}-d", secret_key="another server key of the tests, long enough"
    )
    for name in ("first", "second"):
        await create(source, name)
    first, second = [Exported(record.token, record.seal) for record in (await everything(source)).values()]
    assert await take(stranger, first) == ["not_ours"]
    widened = replace(first, token=replace(first.token, scopes=("tokens:write",)))
    assert await take(other, widened) == ["not_ours"]
    assert await take(other, first) == ["imported"]
    assert await take(other, first, second) == ["exists", "imported"]
    await create(stranger, "mine")
    await create(other, "third")
    await create(source, "third")
    third = [record for record in (await everything(source)).values() if record.token.name == "third"]
    assert await take(other, *[Exported(record.token, record.seal) for record in third]) == ["name_taken"]


FORMS = {
    "uuid": "5f0c2a60-8d52-4b7e-9c55-0d6a2f0f1b2c",
    "like a one-time token": "0123456789abcdef" * 2,
    "like a session": (string.ascii_letters + string.digits)[:62] + "zz",
    "like a managed token": "rtk_" + "ab" * 32,
    "shortest": "k" * 15 + "!",
    "longest": "L0ng" * 255 + "long",
    "all signs": "".join(chr(code) for code in range(0x21, 0x7F)),
}


async def test_secrets_of_any_form_open_the_door_and_are_ordinary_tokens_then(still: Service) -> None:
    rows = [imported(still, secret, name, scopes=("a:b",)) for name, secret in FORMS.items()]
    assert await take(still, *rows) == ["imported"] * len(rows)
    for name, secret in FORMS.items():
        verdict = await still.rules.authority.verify(secret.encode(), (Kind.SESSION, Kind.MANAGED), required=("a:b",))
        assert verdict.active, name
        assert verdict.credential is not None
        assert (verdict.credential.kind, verdict.credential.name) == (Kind.MANAGED, name)
        token_id = verdict.credential.token_id
        await still.rules.managed.tokens.revoke(token_id, ADMIN)
        assert await outcome(still, secret) is Outcome.UNKNOWN
        assert await peeked(still, secret) is Outcome.REVOKED
    token = await still.rules.managed.tokens.get(token_id)
    assert (token.imported, token.created_by, token.subject) == ("sha256 whole", "admin", "")


async def test_an_imported_secret_is_of_no_other_kind(still: Service) -> None:
    secret = FORMS["like a one-time token"]
    await take(still, imported(still, secret, "gate"))
    assert (await still.rules.one_time.consume(secret.encode())).outcome is Outcome.UNKNOWN
    assert (await still.rules.authority.verify(secret.encode(), (Kind.SESSION,))).outcome is Outcome.MALFORMED


async def test_limits_and_networks_hold_for_imported_secrets_too(still: Service) -> None:
    secret = FORMS["uuid"]
    await take(still, imported(still, secret, "gate", rate_limits=(RateLimit(2, 60),), networks=("10.0.0.0/8",)))
    asked = [await still.rules.authority.verify(secret.encode(), (Kind.MANAGED,), address="10.1.1.1") for _ in range(3)]
    assert [verdict.outcome for verdict in asked] == ["active", "active", "rate_limited"]
    elsewhere = await still.rules.authority.verify(secret.encode(), (Kind.MANAGED,), address="192.0.2.1")
    assert elsewhere.outcome is Outcome.NETWORK_DENIED


async def test_a_digest_of_another_system_is_enough(still: Service) -> None:
    secret = FORMS["uuid"]
    new = NewToken("gate", int(still.clock()) + DAY)
    assert await take(still, ImportedSecret(new, sha256(secret.encode()).digest())) == ["imported"]
    assert await outcome(still, secret) is Outcome.ACTIVE
    # The digest itself opens nothing, in whatever form.
    assert await outcome(still, sha256(secret.encode()).hexdigest()) is Outcome.UNKNOWN


async def test_malformed_secrets_cost_nothing_until_an_imported_one_comes(make_service: MakeService) -> None:
    service = await make_service(shards=16, background=False, wrap=Recording)
    await service.rules.managed.imports.detect_imported()
    link = service.stores.shards[0].link
    link.asked.clear()
    assert await outcome(service, FORMS["uuid"]) is Outcome.MALFORMED
    assert link.asked == []
    other = await make_service(shards=16, background=False)
    await take(other, imported(other, FORMS["uuid"], "gate"))
    await service.rules.managed.imports.detect_imported()
    assert await outcome(service, FORMS["uuid"]) is Outcome.ACTIVE
    assert await outcome(service, "with a space") is Outcome.MALFORMED
    link.asked.clear()
    assert await outcome(service, FORMS["shortest"]) is Outcome.UNKNOWN
    assert link.names() == ["GET"]


async def test_a_process_that_starts_without_redis_does_not_call_imported_secrets_bad(
    make_service: MakeService,
) -> None:
    other = await make_service(background=False)
    await take(other, imported(other, FORMS["uuid"], "gate"))
    service = await make_service(background=False, wrap=away)
    with pytest.raises(StoreUnavailable):
        await service.rules.managed.imports.detect_imported()
    with pytest.raises(StoreUnavailable):
        await outcome(service, FORMS["uuid"])
    service.stores.shards[0].link.before.clear()
    assert await outcome(service, FORMS["uuid"]) is Outcome.ACTIVE


async def test_after_the_purge_of_the_last_imported_token_they_cost_nothing_again(
    make_service: MakeService, fake_clock: Clock
) -> None:
    service = await make_service(shards=16, fake=True)
    await take(service, imported(service, FORMS["uuid"], "gate"))
    await service.rules.managed.imports.detect_imported()
    assert service.rules.authority.imported.rules
    for days in (31, 31):
        fake_clock.forward(days * DAY)
        await service.rules.managed.sweeper.sweep()
    await service.rules.managed.imports.detect_imported()
    assert not service.rules.authority.imported.rules


async def test_a_secret_or_a_name_is_taken_in_once(still: Service) -> None:
    assert await take(still, imported(still, FORMS["uuid"], "gate")) == ["imported"]
    again = imported(still, FORMS["uuid"], "another name"), imported(still, FORMS["shortest"], "gate")
    assert await take(still, *again) == ["secret_taken", "name_taken"]
    # A row that was refused holds nothing: neither its name nor its secret.
    rest = imported(still, FORMS["longest"], "another name"), imported(still, FORMS["shortest"], "free")
    assert await take(still, *rest) == ["imported", "imported"]


class OfData(Recording):
    """A link to a server whose data has this id."""

    replication_id = b"a" * 20  # type: ignore[assignment]


async def test_a_rule_is_noted_before_the_first_token_in_the_data_and_behind_each_slice(
    make_service: MakeService,
) -> None:
    service = await make_service(background=False, wrap=OfData)
    link, forms, script = service.stores.shards[0].link, iter(FORMS.values()), Script("import_tokens")._sha

    async def sent() -> list[str]:
        link.asked.clear()
        form = next(forms)
        assert await take(service, imported(service, form, form)) == ["imported"]
        return [args[0] for args in link.asked if args[0] == "SADD" or args[1] == script]

    first, later = ["SADD", "EVALSHA", "SADD"], ["EVALSHA", "SADD"]
    assert [await sent(), await sent(), await sent()] == [first, later, later]
    link.replication_id = b"b" * 20
    assert [await sent(), await sent()] == [first, later]


async def test_a_slice_of_rows_is_one_call_and_each_of_them_is_told_by_itself(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Recording)
    forms = iter(FORMS.values())
    await take(service, imported(service, next(forms), "here"))
    link = service.stores.shards[0].link
    link.asked.clear()
    rows = [
        imported(service, FORMS["uuid"], "with a secret that is here"),
        imported(service, next(forms), "here"),
        imported(service, next(forms), "new", scopes=("a:b",)),
        imported(service, next(forms), "new"),
        imported(service, next(forms), "also new", description="and longer"),
        replace(imported(service, next(forms), "of somebody else"), created_by="ann"),
    ]
    codes = ["secret_taken", "name_taken", "imported", "name_taken", "imported", "imported"]
    assert await take(service, *rows) == codes
    # Rows of two creators are of two kinds.
    assert [args[1] for args in link.asked].count(Script("import_tokens")._sha) == 2
    tokens, _, _ = await service.rules.managed.queries.page(Query(created_by="ann"))
    assert [(token.name, token.imported) for token in tokens] == [("of somebody else", "sha256 whole")]


async def test_a_revoked_secret_is_not_made_good_by_taking_it_in_as_another_systems(still: Service) -> None:
    created = await create(still)
    await still.rules.managed.tokens.revoke(created.token.token_id, ADMIN)
    await take(still, imported(still, created.secret, "again"))
    assert still.rules.authority.imported.rules
    assert await outcome(still, created.secret) is Outcome.UNKNOWN
    assert await peeked(still, created.secret) is Outcome.REVOKED


async def test_a_name_that_nobody_bears_any_more_is_free_to_an_import(make_service: MakeService) -> None:
    service = await make_service(background=False)
    tokens = service.rules.managed.imports._store._tokens
    token_id, _ = await plain(service, "first")
    token = await service.rules.managed.tokens.get(token_id)
    # As a renaming leaves it that was cut off: reserved, and never taken.
    assert await tokens.names.reserve(replace(token, name="gate"))
    assert await take(service, imported(service, FORMS["uuid"], "gate")) == ["imported"]
    assert await take(service, imported(service, FORMS["longest"], "gate")) == ["name_taken"]


async def test_a_token_of_another_number_of_shards_is_never_written(make_service: MakeService) -> None:
    service = await make_service(background=False)
    token_id, _ = await plain(service, "first")
    token = replace(await service.rules.managed.tokens.get(token_id), token_id="0f" + "0" * 14)
    incoming = service.rules.managed.imports._incoming(token, ADMIN)
    for doing in (
        service.rules.managed.imports._store.put([incoming], 0),
        service.rules.managed.imports._store.conflict(token),
    ):
        with pytest.raises(ValueError, match="no shard"):
            await doing


async def plain(service: Service, name: str) -> tuple[str, str]:
    created = await create(service, name)
    return created.token.token_id, created.secret


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_lost_answer_loses_and_doubles_nothing(make_service: MakeService, shards: int) -> None:
    service = await make_service(shards=shards, background=False, wrap=Interrupted)
    # The script is known to the server, so that what is lost is what was done.
    await take(service, imported(service, FORMS["uuid"], "first"))
    service.stores.shards[0].link.after["import_tokens"] = [AWAY] * 2
    rows = [imported(service, f"{number}-of-another-system", f"gate {number}") for number in range(20)]
    assert await take(service, *rows) == ["imported"] * 20
    assert len(await everything(service)) == 21


@pytest.mark.parametrize("shards", [1, 16])
async def test_what_was_taken_in_before_a_change_of_the_server_key_is_not_taken_in_twice(
    make_service: MakeService, shards: int
) -> None:
    """Else a second token would make a secret good again behind the end of the first."""
    before = await make_service(shards=shards, background=False)
    secrets = [f"{number}-of-another-system" for number in range(4)]
    rows = [imported(before, secret, f"gate {number}") for number, secret in enumerate(secrets)]
    assert await take(before, *rows) == ["imported"] * 4
    for token_id in list(await everything(before))[:2]:
        await before.rules.managed.tokens.revoke(token_id, ADMIN)
    ended = [await outcome(before, secret) for secret in secrets]
    after = await make_service(
        shards=shards,
        background=False,
        secret_key="the next server key, long enough too",
        secret_key_previous=SERVER_KEY,
    )
    renamed = [replace(row, new=replace(row.new, name=f"{row.new.name} again")) for row in rows]
    assert await take(after, *renamed, dry_run=DryRun()) == ["secret_taken"] * 4
    assert await take(after, *renamed) == ["secret_taken"] * 4
    await after.rules.managed.imports.detect_imported()
    assert [await outcome(after, secret) for secret in secrets] == ended
    assert sorted(ended) == [Outcome.ACTIVE] * 2 + [Outcome.UNKNOWN] * 2


@pytest.mark.slow
async def test_a_redis_that_stays_away_is_told_and_the_rows_may_be_sent_again(make_service: MakeService) -> None:
    service = await make_service(background=False, wrap=Interrupted)
    service.stores.shards[0].link.after["import_tokens"] = [AWAY] * 3
    with pytest.raises(StoreUnavailable):
        await take(service, imported(service, FORMS["longest"], "last"))
    assert await take(service, imported(service, FORMS["longest"], "last")) == ["secret_taken"]
    assert len(await everything(service)) == 1


async def test_of_twenty_importers_of_a_name_one_gets_it(still: Service) -> None:
    for turn in range(10):
        rows = [imported(still, f"{turn}-{number}-of-another-system", f"gate {turn}") for number in range(20)]
        codes = await asyncio.gather(*[take(still, row) for row in rows])
        assert sorted(code for (code,) in codes) == ["imported"] + ["name_taken"] * 19
        tokens, _, _ = await still.rules.managed.queries.page(Query(text=f"gate {turn}"))
        assert len(tokens) == 1


@pytest.mark.parametrize("form", list(FORMS))
async def test_a_name_cannot_be_taken_from_an_import_under_way(make_service: MakeService, form: str) -> None:
    slow = await make_service(shards=16, background=False, wrap=Interrupted)
    quick = await make_service(shards=16, background=False)
    taken: list[str] = []

    async def take_the_name() -> None:
        taken.extend(await take(quick, imported(quick, "a-secret-of-somebody-else", "gate")))

    # After its name was reserved.
    slow.stores.shards[0].link.before["import_tokens"] = [take_the_name]
    codes = await take(slow, imported(slow, FORMS[form], "gate"))
    assert sorted([*codes, *taken]) == ["imported", "name_taken"]
    tokens, _, _ = await quick.rules.managed.queries.page(Query(text="gate"))
    assert len(tokens) == 1


async def test_rows_whose_names_an_import_reserved_that_was_cut_off_are_taken_in_when_they_are_sent_again(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a minute they were refused for names that no token had: a failover amid an import lost them."""
    monkeypatch.setattr("service.store.managed.names._UNDER_WAY_MILLISECONDS", 0)
    service = await make_service(shards=16, background=False, wrap=Interrupted)
    service.stores.shards[0].link.before["import_tokens"] = AWAY
    rows = [imported(service, f"{number}-of-another-system", f"gate {number}") for number in range(4)]
    with pytest.raises(StoreUnavailable):
        await take(service, *rows)
    service.stores.shards[0].link.before.clear()
    assert await take(service, *rows) == ["imported"] * 4


async def test_an_import_that_was_too_slow_for_its_name_starts_over(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.managed.names._UNDER_WAY_MILLISECONDS", 0)
    slow = await make_service(shards=16, background=False, wrap=Interrupted)
    quick = await make_service(shards=16, background=False)
    taken: list[str] = []

    async def take_the_name() -> None:
        taken.extend(await take(quick, imported(quick, FORMS["uuid"], "gate")))

    slow.stores.shards[0].link.before["import_tokens"] = [take_the_name]
    # In another shard than its name, which it therefore has to reserve before.
    secret = next(text for text in map(str, range(10**15, 10**16)) if is_elsewhere(slow, text, "gate"))
    assert (await take(slow, imported(slow, secret, "gate")), taken) == (["name_taken"], ["imported"])
    tokens, _, _ = await quick.rules.managed.queries.page(Query(text="gate"))
    assert [token.last_eight for token in tokens] == [last_eight_of(FORMS["uuid"])]


def is_elsewhere(service: Service, secret: str, name: str) -> bool:
    row, shards = imported(service, secret, name), service.stores.shards
    return service.rules.managed.admission.home(row) != shards.of_name(name).index


async def test_of_two_imports_of_one_token_at_once_neither_gives_the_name_up_that_the_other_took(
    make_service: MakeService, namespace: str
) -> None:
    source = await make_service(shards=16, background=False, namespace=f"{namespace}-b")
    slow = await make_service(shards=16, background=False, wrap=Interrupted)
    quick = await make_service(shards=16, background=False)
    token_id, _ = await plain(source, "first")
    shards = source.stores.shards
    other = next(name for name in map(str, range(1000)) if shards.of_name(name) is not shards.of_name("first"))
    await source.rules.managed.tokens.update(token_id, {"name": other}, ADMIN)
    (record,) = (await everything(source)).values()
    row = Exported(record.token, record.seal)
    taken: list[str] = []

    async def take_it_too() -> None:
        taken.extend(await take(quick, row))

    slow.stores.shards[0].link.before["import_tokens"] = [take_it_too]
    assert (await take(slow, row), taken) == (["exists"], ["imported"])
    assert await take(quick, imported(quick, FORMS["uuid"], other)) == ["name_taken"]


async def test_importing_and_creating_one_name_at_once_makes_one_token(still: Service) -> None:
    async def create_too(name: str) -> str:
        try:
            await create(still, name)
        except ServiceError as refused:
            return refused.code
        return "imported"

    for turn in range(10):
        name = f"gate {turn}"
        rows = [imported(still, f"{turn}-{number}-of-another-system", name) for number in range(5)]
        raced = await asyncio.gather(*[take(still, row) for row in rows], *[create_too(name) for _ in range(5)])
        codes = [code[0] if isinstance(code, list) else code for code in raced]
        assert sorted(codes) == ["imported"] + ["name_taken"] * 9


async def test_a_dry_run_says_what_would_happen_and_writes_nothing(still: Service) -> None:
    await take(still, imported(still, FORMS["uuid"], "gate"))
    before = await everything(still)
    dry_run = DryRun()
    rows = [
        imported(still, FORMS["uuid"], "new name"),
        imported(still, FORMS["shortest"], "gate"),
        imported(still, FORMS["longest"], "fine"),
        imported(still, FORMS["longest"], "twice"),
        imported(still, FORMS["all signs"], "fine"),
    ]
    wanted = ["secret_taken", "name_taken", "imported", "secret_taken", "name_taken"]
    assert await take(still, *rows[:3], dry_run=dry_run) == wanted[:3]
    assert await take(still, *rows[3:], dry_run=dry_run) == wanted[3:]
    assert await everything(still) == before
    assert await outcome(still, FORMS["longest"]) is Outcome.UNKNOWN


async def test_the_policy_of_lifetimes_holds_for_imports(still: Service) -> None:
    now = int(still.clock())
    rows = [
        ImportedSecret(NewToken(name, until), sha256(name.encode()).digest())
        for name, until in (("never", 0), ("too long", now + 400 * DAY), ("over", now - 1), ("right", now + DAY))
    ]
    assert await take(still, *rows) == ["invalid_request"] * 3 + ["imported"]


async def test_each_imported_token_is_told_in_the_audit_log(still: Service) -> None:
    await take(still, *[imported(still, secret, name) for name, secret in FORMS.items()])
    told = [event.entry async for event in still.rules.audit.reader.every(AuditFilter(action="token.imported"))]
    assert {entry.after["name"] for entry in told if entry.after} == set(FORMS)
    assert {entry.actor for entry in told} == {"admin"}
    text = str(told)
    assert not [name for name, secret in FORMS.items() if secret in text]


async def test_what_is_shown_of_a_secret_is_a_quarter_of_it_at_most() -> None:
    assert [last_eight_of("0123456789abcdef"[:16] * times) for times in (1, 2, 4)] == ["cdef", "89abcdef", "89abcdef"]
