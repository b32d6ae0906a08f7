"""Answers made of many records: read, made, written and sent part by part, so that others have turns between."""

import asyncio
import json
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from typing import Any
from unittest.mock import Mock

import pytest

from service.api.admin import token_views
from service.api.admin.schemas.import_export import export_lines
from service.api.http.bodies import _PIECE_BYTES, LongJson, _written
from service.api.http.problems import pending
from service.api.pages.files import Download
from service.app import Service
from service.model import ManagedToken
from service.store.batch_size import BatchSize
from service.store.managed.records import Record
from tests.api.wire import read_answer
from tests.api.world import TOKENS, World, fresh
from tests.asgi import holder, sign_in
from tests.builders import ADMIN, create, outcome
from tests.conftest import MakeService
from tests.links import Wrapped

AUDIT = "/api/admin/audit"


@pytest.fixture
async def turns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[int]]:
    """At each piece of a work, how many turns others had had before: every piece takes long."""
    had, seen = [0], list[int]()

    async def others() -> None:
        while True:
            had[0] += 1
            await asyncio.sleep(0)

    async def give_way() -> None:
        seen.append(had[0])
        await asyncio.sleep(0)

    monkeypatch.setattr("service.store.pacing._FELT_SECONDS", -1.0)
    for module in ("store.pacing", "tokens.managed.derivation", "api.pages.files"):
        monkeypatch.setattr(f"service.{module}.give_way", give_way)
    asking = asyncio.ensure_future(others())
    yield seen
    asking.cancel()


# At least once for each of twelve: where its record is read, where it is shown, and where it is written, of which eight
# are an export's piece; where an entry is verified, and where its place is. A log that is taken out is written in the
# very turns in which it is read.
@pytest.mark.parametrize(
    ("path", "query", "least"),
    [
        (TOKENS, {"limit": 12}, 12 + 12 + 2),
        (f"{TOKENS}/export", {}, 12 + 2),
        (AUDIT, {"limit": 12, "action": "token.created"}, 12 + 12 + 2),
        (AUDIT, {"q": "nothing has this"}, 12),
        (AUDIT, {"format": "ndjson"}, 12),
        (AUDIT, {"format": "csv"}, 12),
        (f"{AUDIT}/verification", {}, 12 + 12),
        ("/api/admin/usage", {"hours": 12}, 12 + 2),
    ],
)
async def test_others_have_a_turn_between_pieces(
    still: Service, turns: list[int], path: str, query: dict[str, Any], least: int
) -> None:
    admin = await sign_in(still)
    for number in range(12):
        await create(still, f"token {number}")
    turns.clear()
    # Sealing reads each entry as well.
    await still.rules.audit.checkpoints.seal()
    assert len(turns) >= 12
    turns.clear()
    assert (await admin.get(path, **query)).status == 200
    assert len(turns) >= least
    # An export is written in the very turns in which the next records are read.
    assert len(set(turns)) >= 12


def test_an_export_lets_go_of_records_as_it_writes_them() -> None:
    """Megabytes that went at once would hold the loop for as long as to write them."""
    records = [Record(ManagedToken(f"{number:016x}", "any", "", bytes(32), "admin", 1), "") for number in range(20)]
    lines, left, written = export_lines(records), [], b""
    for some in lines:
        written += some
        left.append(len(records))
    assert left == [12, 4, 0]
    assert [json.loads(line)["id"] for line in written.splitlines()] == [f"{number:016x}" for number in range(20)]


async def test_others_have_a_turn_between_the_pieces_of_a_download(
    turns: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lines() -> AsyncIterator[list[bytes]]:
        yield [b"a", b"b", b"c"]

    monkeypatch.setattr("service.api.http.bodies._PIECE_BYTES", 1)
    download = Download(Mock(head_only=False, ask_again=None), lines(), "text/plain", "any.txt")
    assert [piece async for piece in download._pieces()] == [b"a", b"b", b"c"]
    assert len(set(turns)) == 3


async def test_others_have_turns_while_much_is_derived_from_a_token(still: Service, turns: list[int]) -> None:
    held = await holder(still, "self:derive")
    made = [(await held.post("/api/tokens/self/derive")).json()["token"]["id"] for _ in range(20)]
    turns.clear()
    listed = (await held.get("/api/tokens/self/derived", limit=200)).json()["tokens"]
    assert sorted(token["id"] for token in listed) == sorted(made)
    # Each is opened and shown, and twenty are two steps.
    assert len(turns) == len(set(turns)) == 20 + 2 + 20 + 3
    turns.clear()
    assert (await held.ask("DELETE", "/api/tokens/self/derived")).json()["message"] == "20 derived tokens ended"
    # Opened, and looked at whether the caller may end it.
    assert len(turns) == len(set(turns)) == 20 + 20 + 2


@pytest.mark.parametrize("path", [TOKENS, AUDIT])
async def test_an_answer_in_pieces_is_the_same(still: Service, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    for number in range(12):
        await create(still, f"token {number}")
    admin = await sign_in(still)
    whole = await admin.get(path, limit=11)
    monkeypatch.setattr("service.api.http.bodies._PIECE_BYTES", 100)
    for method in ("GET", "HEAD"):
        cut = await admin.ask(method, path, query={"limit": 11})
        del cut.headers["x-request-id"], whole.headers["x-request-id"]
        assert (cut.status, cut.headers, cut.body) == (200, whole.headers, whole.body)
        whole.headers["x-request-id"] = ""


@pytest.mark.parametrize("searched", [True, False])
def test_a_list_of_long_tokens_is_announced_with_its_length_and_leaves_the_connection_open(
    world: World, *, searched: bool
) -> None:
    """A search on the ordinary way, a page on the fast path."""
    word = fresh("long")
    metadata = {f"{number}": 250 * "x" for number in range(20)}
    for number in range(30):
        world.create(name=f"{word} {number}", metadata=metadata)
    connection = HTTPConnection("127.0.0.1", world.running.port)
    for method in ("GET", "HEAD", "GET"):
        path = f"{TOKENS}?limit=200&q={word.replace(' ', '+')}" if searched else f"{TOKENS}?limit=30"
        connection.request(method, path, headers={"Authorization": f"Bearer {world.admin}"})
        answer = read_answer(connection.getresponse())
        assert int(answer.header("content-length") or 0) > _PIECE_BYTES
        if method == "GET":
            assert [token["metadata"] for token in json.loads(answer.body)["tokens"]] == 30 * [metadata]
        # Not closed by the service, else it would ask for another one.
        assert connection.sock is not None
    connection.close()


def test_a_long_answer_that_is_not_confirmed_says_so() -> None:
    long = LongJson([b'{"updated":["a",', b'"b"]}'], 200)
    answer = pending(long, "no replica has it", "r1", may_wait=True)
    assert (answer.status_code, json.loads(answer.body)) == (
        202,
        {"updated": ["a", "b"], "pending": "no replica has it"},
    )


@pytest.mark.parametrize(
    ("size", "counts"), [(400, [4, 8, 16, 12]), (10_000, [4, *12 * [3]]), (50_000, [4, *36 * [1]])]
)
def test_of_long_rows_few_are_written_at_once(size: int, counts: list[int]) -> None:
    written = [text.count(b"x") // size for _, text, _ in _written(b"[", 40 * [size * "x"], b"]")]
    assert written == counts


def test_of_long_records_few_are_read_at_once() -> None:
    batch, asked = BatchSize(100), list[int]()
    for size in (400, 400, 400, 400, 50_000, 50_000, 1_000_000, 50_000, 400):
        asked.append(batch.count)
        batch.note(batch.count * [size])
    # Those that come first are not known, and of what there is nothing the next batch is not made.
    batch.note([])
    assert [*asked, batch.count] == [32, 64, 100, 100, 100, 5, 5, 1, 2, 4]


async def test_a_log_of_long_entries_is_read_whole(still: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.store.batch_size._BATCH_BYTES", 1000)
    for number in range(60):
        await still.rules.audit.log.write("login.failed", ADMIN, f"{number}", after={"name": 40 * number * "x"})
    await still.rules.audit.checkpoints.seal()
    admin = await sign_in(still)
    lines = (await admin.get(AUDIT, format="ndjson", action="login.failed")).lines()
    assert sorted(int(line["target"]) for line in lines) == [*range(60)]
    report = (await admin.get(f"{AUDIT}/verification")).json()
    assert (report["intact"], report["faults"]) == (True, [])


async def test_others_have_turns_while_the_longest_page_is_made(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of each token shown how often Redis had been asked by then: between two questions others have a turn.
    questions, shown_after = 0, []

    class Counting(Wrapped):
        async def execute(self, *args: Any, **how: Any) -> Any:
            nonlocal questions
            questions += 1
            return await super().execute(*args, **how)

        def submit(self, *args: Any, **how: Any) -> None:
            nonlocal questions
            questions += 1
            super().submit(*args, **how)

    def shown(*given: Any) -> Any:
        shown_after.append(questions)
        return was(*given)

    was = token_views.shown
    monkeypatch.setattr(token_views, "shown", shown)
    service: Service = await make_service(background=False, wrap=Counting)
    names = [f"token {number:03}" for number in range(120)]
    for name in names:
        assert await outcome(service, (await create(service, name)).secret) == "active"
    # Nothing is asked about those that were never used.
    await service.rules.usage.flush()
    answer = await (await sign_in(service)).get("/api/admin/tokens", limit=200, sort="name")
    assert [token["name"] for token in answer.json()["tokens"]] == names
    assert max(map(shown_after.count, shown_after)) == 50
