"""The wire of managed tokens: the list, its filters, orders and pages, one token, and the counts."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from service.api.admin.schemas.tokens import Filter
from tests.api.admin.test_tokens_create import days_ahead
from tests.api.world import TOKENS, World, fresh

STATISTICS = {
    "total",
    "active",
    "expired",
    "inactive",
    "revoked",
    "expiring14d",
    "oneTimeOutstanding",
    "sessions",
}


def page(world: World, **query: object) -> dict[str, Any]:
    answer = world.get(f"{TOKENS}?{urlencode(query)}", bearer=world.viewer)
    assert answer.status == 200, answer
    assert answer.header("cache-control") == "no-store"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"tokens", "nextCursor", "total"}
    return body


def names(world: World, **query: object) -> list[str]:
    return [token["name"] for token in page(world, **query)["tokens"]]


def walk(world: World, **query: object) -> Iterator[dict[str, Any]]:
    """Every page that the cursors lead to."""
    found = page(world, **query)
    yield found
    while found["nextCursor"]:
        found = page(world, **query, cursor=found["nextCursor"])
        yield found


@pytest.fixture(scope="module")
def word(world: World) -> str:
    """Part of the names of five tokens, made in order: a, B, c (inactive), d (revoked), e (sooner over)."""
    word = f"{fresh('zq')}x"
    made = {
        letter: world.create(name=f"{letter} {word.upper() if letter == 'B' else word}", **terms)
        for letter, terms in {
            "a": {"scopes": ["orders:read"]},
            "B": {"duration": "1year", "scopes": ["orders:*"]},
            "c": {"duration": "6months"},
            "d": {},
            "e": {"expiresAt": days_ahead(2)},
        }.items()
    }
    world.change(id=made["c"]["id"], isActive=False)
    world.ask("DELETE", f"{TOKENS}?id={made['d']['id']}", bearer=world.admin)
    return word


def letters(world: World, word: str, **query: object) -> str:
    return "".join(name[0] for name in names(world, q=word, **query))


def test_the_list_is_newest_first_and_leaves_out_the_revoked(world: World, word: str) -> None:
    assert letters(world, word) == "ecBa"
    assert letters(world, word, status="all") == "edcBa"


@pytest.mark.parametrize(
    ("status", "found"),
    [("active", "eBa"), ("inactive", "c"), ("revoked", "d"), ("expired", ""), ("inactive,revoked", "dc")],
)
def test_a_status_picks_its_tokens(world: World, word: str, status: str, found: str) -> None:
    assert letters(world, word, status=status) == found


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        ("createdAt", "aBce"),
        ("-createdAt", "ecBa"),
        ("name", "Bace"),
        ("-name", "ecaB"),
        ("expiresAt", "eacB"),
        ("-expiresAt", "Bcae"),
    ],
)
def test_an_order_is_kept(world: World, word: str, sort: str, found: str) -> None:
    assert letters(world, word, sort=sort) == found


def test_the_order_of_last_use_puts_the_used_first(world: World, word: str) -> None:
    used = letters(world, word, sort="-lastUsedAt")
    assert sorted(used) == sorted("ecBa")


FOUND = {
    "status": ("revoked", "d"),
    "scope": ("orders:read", "a"),
    "createdBy": ("vera", ""),
    "subject": ("somebody", ""),
    "lastAddress": ("192.0.2.99", ""),
    "expiresBefore": (days_ahead(10), "e"),
    "unusedForDays": (30, ""),
}


# All but the text, by which these tests find their tokens, and what a test of its own is about.
@pytest.mark.parametrize(
    "member", sorted({field.encode_name for field in msgspec.structs.fields(Filter)} - {"q", "neverUsed"})
)
def test_each_member_of_a_filter_narrows_the_list(world: World, word: str, member: str) -> None:
    """A kill switch ends what its filter finds: one that is passed over would end all the others, too."""
    value, found = FOUND[member]
    assert letters(world, word, **{member: value}) == found


def test_tokens_are_picked_by_their_ids(world: World) -> None:
    one, two, _ = (world.create() for _ in range(3))
    ids = f"{one['id']},{'0' * 16},{two['id']}"
    assert names(world, ids=ids) == [two["name"], one["name"]]
    assert names(world, ids=ids, sort="createdAt", limit=1) == [one["name"]]
    assert page(world, ids=ids)["total"] is None


def test_a_page_that_is_asked_for_again_and_again_tells_each_change_at_once(world: World) -> None:
    one, two = (world.create()["id"] for _ in range(2))
    for description in ("", "changed", "changed again", ""):
        assert world.change(id=one, description=description).status == 200
        told = [world.shown(two), world.shown(one)]
        assert told[1]["description"] == description
        for _ in range(3):
            assert page(world, ids=f"{one},{two}")["tokens"] == told


def test_q_finds_part_of_a_name_in_any_case_and_the_last_characters_of_a_token(world: World) -> None:
    word = fresh("Needle")
    token = world.create(name=f"hay {word} hay")
    assert names(world, q=word.lower()) == [token["name"]]
    assert names(world, q=token["token"][-8:]) == [token["name"]]
    assert names(world, q=token["token"][-5:]) == [token["name"]]
    for pattern in ("N*edle", "hay ?eedle", "[hay]", token["token"][:12]):
        assert token["name"] not in names(world, q=pattern)


@pytest.mark.parametrize("sort", ["createdAt", "-createdAt", "name", "-name", "expiresAt", "-lastUsedAt"])
def test_the_pages_of_a_walk_hold_every_token_once(world: World, word: str, sort: str) -> None:
    pages = list(walk(world, q=word, status="all", sort=sort, limit=2))
    assert [len(found["tokens"]) for found in pages] in ([2, 2, 1], [2, 2, 1, 0])
    seen = [token["name"][0] for found in pages for token in found["tokens"]]
    assert sorted(seen) == sorted("aBcde")
    assert pages[-1]["nextCursor"] is None


def test_the_total_is_right_where_it_can_be_had_without_reading_every_record(world: World, word: str) -> None:
    statistics = world.get(f"{TOKENS}/stats", bearer=world.admin).json()
    everything = page(world, limit=1)
    assert everything["total"] == statistics["total"]
    assert page(world, status="revoked")["total"] == statistics["revoked"]
    assert page(world, q=word)["total"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("sort=color", "sort"),
        ("status=gone", "status"),
        ("expiresBefore=soon", "expiresBefore"),
        ("expiresBefore=", "expiresBefore"),
        ("unusedForDays=-1", "unusedForDays"),
        ("cursor=AAAA", "cursor"),
        ("cursor=%00", "cursor"),
        ("q=" + "x" * 81, "q"),
        ("ids=" + "0" * 3401, "ids"),
        ("ids=,", "ids"),
    ],
)
def test_a_wrong_parameter_is_named(world: World, query: str, field: str) -> None:
    problem = world.get(f"{TOKENS}?{query}", bearer=world.admin).problem(400, "invalid_request")
    assert problem["errors"][0]["field"] == field


def test_a_cursor_belongs_to_its_order(world: World, word: str) -> None:
    cursor = page(world, q=word, limit=1)["nextCursor"]
    world.get(f"{TOKENS}?sort=name&cursor={cursor}", bearer=world.admin).problem(400, "invalid_request")


@pytest.mark.slow
def test_one_page_holds_50_tokens_unless_asked_otherwise_and_200_at_most(world: World) -> None:
    word = f"many{world.running.port}"
    for number in range(52):
        world.create(name=f"{word} {number}")
    assert len(page(world, q=word)["tokens"]) == 50
    assert len(page(world, q=word, limit=200)["tokens"]) == 52


@pytest.mark.parametrize("token_id", ["0" * 16, "zz" * 8, "x", "00" * 9, "%2e%2e", "caf%C3%A9"])
def test_a_token_that_never_was_is_404(world: World, token_id: str) -> None:
    world.get(f"{TOKENS}/{token_id}", bearer=world.admin).problem(404, "not_found")


def test_a_revoked_token_is_still_shown(world: World) -> None:
    token = world.create()
    world.ask("DELETE", f"{TOKENS}?id={token['id']}", bearer=world.admin)
    shown = world.shown(token["id"])
    assert (shown["status"], shown["isActive"]) == ("revoked", False)


def test_the_counts_follow_every_change(world: World) -> None:
    def counts() -> dict[str, int]:
        answer = world.get(f"{TOKENS}/stats", bearer=world.viewer)
        body: dict[str, int] = answer.json()
        assert set(body) >= STATISTICS
        assert body["total"] == body["active"] + body["expired"] + body["inactive"]
        return body

    def step(**expected: int) -> None:
        nonlocal before
        after = counts()
        assert {name: after[name] - before[name] for name in STATISTICS if after[name] != before[name]} == expected
        before = after

    before = counts()
    token = world.create(expiresAt=days_ahead(5))
    step(total=1, active=1, expiring14d=1)
    world.change(id=token["id"], isActive=False)
    step(active=-1, inactive=1, expiring14d=-1)
    world.change(id=token["id"], isActive=True)
    step(active=1, inactive=-1, expiring14d=1)
    world.ask("DELETE", f"{TOKENS}?id={token['id']}", bearer=world.admin)
    step(total=-1, active=-1, revoked=1, expiring14d=-1)
    secret = world.one_time()
    step(oneTimeOutstanding=1)
    world.post("/api/one-time-tokens/consume", {"token": secret})
    step(oneTimeOutstanding=-1)
    session = world.client.sign_in("uma", world.password)
    step(sessions=1)
    world.ask("DELETE", "/api/token", headers={"X-Token": session})
    step(sessions=-1)
