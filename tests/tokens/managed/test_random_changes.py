"""Changes of managed tokens in a random order, and every answer held against a small book of what must be true."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from service.app import Service
from tests.asgi import Answer, Person, sign_in
from tests.builders import actions, month_day

TOKENS = "/api/admin/tokens"
SELF = "/api/tokens/self"
SCOPES = ("orders:read", "orders:write", "self:derive")
STEPS = 120
STATUS = {"active": 200, "unknown": 401, "insufficient_scope": 403, "rate_limited": 429, "uses_exhausted": 401}


@dataclass(eq=False)
class Line:
    """What is known of a token; of one that is derived `parent` is that which it comes from."""

    token_id: str
    secret: str
    name: str
    scopes: list[str]
    subject: str
    limit: int
    max_uses: int
    parent: Self | None = None
    active: bool = True
    revoked: bool = False
    left: int = 0
    used: int = 0
    older: str = ""
    # Of each rotation its key, its overlap and the secret that it made.
    rotations: list[tuple[str, int, str]] = field(default_factory=list)
    audited: Counter[str] = field(default_factory=Counter)

    @property
    def charged(self) -> Self:
        """Whose limit and uses a request takes."""
        return self.parent.charged if self.parent else self

    @property
    def lives(self) -> bool:
        return self.active and not self.revoked and (self.parent is None or self.parent.lives)

    @property
    def status(self) -> str:
        return "revoked" if self.revoked else "active" if self.active else "inactive"


class Book:
    """The service under test, and what it must answer."""

    def __init__(self, admin: Person, seed: int) -> None:
        self.random = random.Random(seed)
        self.admin = admin
        self.lines: list[Line] = []
        self.derived: list[Line] = []
        self.pool = 40
        self.pool_used = 0
        self._numbers = iter(range(10_000))

    def steps(self) -> list[Any]:
        often = [self.use, self.use, self.derive, self.edit, self.rotate, self.switch, self.repeat]
        # Few tokens, so that what is done to one meets what was done to it before.
        more = [self.create] if sum(one.lives for one in self.lines) < 3 else []
        return [*often, *often, *more, *more, self.end, self.compare]

    def pick(self, lines: list[Line]) -> Line:
        # Those that can still be changed most of the time.
        return self.random.choice([one for one in lines if one.lives and self.random.random() < 0.9] or lines)

    def limits_of(self, limit: int) -> list[dict[str, Any]]:
        calendar = {"unit": "month", "day": month_day(), "timeZone": "UTC"}
        return [{"name": "month", "limit": limit, "calendar": calendar}] if limit else []

    def holder(self, secret: str) -> Line | None:
        """Whom a secret stands for now."""
        return next((one for one in self.lines + self.derived if one.lives and secret in (one.secret, one.older)), None)

    def outcome(self, secret: str, scope: str) -> str:
        found = self.holder(secret)
        if found is None:
            return "unknown"
        if scope and scope not in found.scopes:
            return "insufficient_scope"
        top = found.charged
        if top.max_uses and not top.left:
            return "uses_exhausted"
        is_full = (top.limit and top.used >= top.limit) or (top.subject and self.pool_used >= self.pool)
        return "rate_limited" if is_full else "active"

    def held(self, told: dict[str, Any], line: Line) -> None:
        """What an answer tells of a token."""
        top = line.charged
        below = [one for one in self.derived if one.parent is line and one.lives]
        assert {
            name: told[name] for name in ("id", "status", "scopes", "subject", "derived", "maxUses", "usesLeft")
        } == {
            "id": line.token_id,
            "status": line.status,
            "scopes": line.scopes,
            "subject": line.subject,
            "derived": len(below),
            "maxUses": top.max_uses or None,
            "usesLeft": top.left if top.max_uses else None,
        }
        assert [(one["limit"], one["used"]) for one in told["limits"]] == [(top.limit, top.used)] * bool(top.limit)
        assert [one["used"] for one in told["subjectLimits"]] == [self.pool_used] * bool(top.subject)
        assert (told["oldSecretValidUntil"] is not None) is bool(line.older)
        assert told["parentId"] == (line.parent.token_id if line.parent else None)

    def end_below(self, line: Line) -> None:
        for one in self.derived:
            if one.parent is line:
                one.active = False
                self.end_below(one)

    async def change(self, line: Line, **changes: Any) -> Answer:
        return await self.admin.ask("PATCH", TOKENS, json_body={"id": line.token_id, **changes})

    async def create(self) -> None:
        draw = self.random.choice
        name, scopes, subject = f"token {next(self._numbers)}", self.random.sample(SCOPES, 2), draw(["", "acme"])
        limit, max_uses = draw([0, 4]), draw([0, 5])
        terms = {"scopes": scopes, "subject": subject, "limits": self.limits_of(limit), "maxUses": max_uses or None}
        told = await self.admin.create(name, **terms)
        line = Line(told["id"], told["token"], name, scopes, subject, limit, max_uses, left=max_uses)
        line.audited["token.created"] += 1
        self.lines.append(line)
        self.held(told, line)

    async def use(self) -> None:
        line = self.pick(self.lines + self.derived)
        secret, scope = self.random.choice([line.secret, line.older or line.secret]), self.random.choice(["", *SCOPES])
        expected, asked = self.outcome(secret, scope), {"x-required-scope": scope} if scope else {}
        body = {"token": secret, "scopes": [scope] if scope else []}
        explained = (await self.admin.post(f"{TOKENS}/explain", body)).json()
        answer = await Person(self.admin.service, secret).ask("GET", "/validate", headers=asked)
        assert (answer.status, explained["answer"]["status"]) == (STATUS[expected],) * 2, (expected, answer)
        found = self.holder(secret)
        if expected == "active" and found is not None:
            top = found.charged
            top.used += bool(top.limit)
            top.left -= bool(top.max_uses)
            self.pool_used += bool(top.subject)
            assert answer.headers["x-token-id"] == found.token_id

    async def derive(self) -> None:
        parent = self.pick(self.lines + self.derived)
        asked = {} if self.random.random() < 0.5 else {"subject": "", "scopes": parent.scopes[:1]}
        answer = await Person(self.admin.service, parent.secret).post(f"{SELF}/derive", asked)
        levels, above = 0, parent
        while above.parent:
            levels, above = levels + 1, above.parent
        expected = self.outcome(parent.secret, "")
        if expected not in ("active", "rate_limited"):
            assert answer.status == 401
        elif "self:derive" not in parent.scopes or levels == 3:
            assert answer.status == 403
        else:
            told = answer.json()["token"]
            scopes, subject = asked.get("scopes", parent.scopes), asked.get("subject", parent.subject)
            line = Line(told["id"], told["token"], parent.name, scopes, subject, 0, 0, parent)
            self.derived.append(line)
            self.held(told, line)

    async def edit(self) -> None:
        line = self.pick(self.lines)
        scopes, max_uses = self.random.sample(SCOPES, 2), self.random.choice([0, 3])
        changes: dict[str, Any] = self.random.choice(
            [{"name": f"token {next(self._numbers)}"}, {"scopes": scopes}, {"maxUses": max_uses or None}]
        )
        answer = await self.change(line, **changes)
        if line.revoked:
            assert (answer.status, answer.json()["code"]) == (409, "token_revoked")
            return
        is_other = changes != {"scopes": line.scopes} and changes != {"maxUses": line.max_uses or None}
        uses_begin_anew = "maxUses" in changes and line.left != max_uses
        line.name, line.scopes = changes.get("name", line.name), changes.get("scopes", line.scopes)
        if "maxUses" in changes:
            line.max_uses = line.left = max_uses
        if is_other and "name" not in changes:
            self.end_below(line)
        line.audited["token.updated"] += is_other or uses_begin_anew
        self.held(answer.json()["token"], line)

    async def rotate(self) -> None:
        line, key, overlap = self.pick(self.lines), f"key-{next(self._numbers)}", self.random.choice([0, 600])
        answer = await self.asked_to_rotate(line, key, overlap)
        if line.revoked:
            assert answer.status == 409
            return
        line.older = line.secret if overlap and line.active else ""
        line.secret = answer.json()["token"]["token"]
        line.rotations.append((key, overlap, line.secret))
        line.audited["token.rotated"] += 1
        self.end_below(line)
        self.held(answer.json()["token"], line)

    async def asked_to_rotate(self, line: Line, key: str, overlap: int) -> Answer:
        path = f"{TOKENS}/{line.token_id}/rotate"
        return await self.admin.ask(
            "POST", path, json_body={"overlapSeconds": overlap}, headers={"Idempotency-Key": key}
        )

    async def repeat(self) -> None:
        known = [(one, rotation) for one in self.lines for rotation in one.rotations[-2:]]
        if not known:
            return
        line, (key, overlap, secret) = self.random.choice(known)
        answer = await self.asked_to_rotate(line, key, overlap)
        if line.revoked or secret not in (line.secret, line.older):
            assert (answer.status, answer.json()["code"]) == (409, "token_revoked")
        else:
            assert answer.json()["token"]["token"] == secret
            self.held(answer.json()["token"], line)

    async def switch(self) -> None:
        line = self.random.choice(self.lines)
        active = not line.active
        answer = await self.change(line, isActive=active)
        if line.revoked:
            assert answer.status == 409
            return
        line.active, line.older = active, ""
        line.audited["token.activated" if active else "token.deactivated"] += 1
        if not active:
            self.end_below(line)
        self.held(answer.json()["token"], line)

    async def end(self) -> None:
        line = self.pick(self.lines + self.derived)
        if self.random.random() < 0.5 or line.parent:
            form = {"content-type": "application/x-www-form-urlencoded"}
            anybody = Person(self.admin.service)
            answer = await anybody.ask("POST", "/oauth2/revoke", body=f"token={line.secret}".encode(), headers=form)
        else:
            answer = await self.admin.ask("DELETE", TOKENS, query={"id": line.token_id})
        assert answer.status == 200
        line.audited["token.revoked"] += line.lives if line.parent else not line.revoked
        self.end_below(line)
        line.active, line.older, line.revoked = False, "", line.revoked or not line.parent

    async def compare(self) -> None:
        """The list, the statistics and a batch."""
        told = (await self.admin.get(TOKENS, status="all", limit=200, sort="createdAt")).json()
        by_id = {one.token_id: one for one in self.lines}
        assert sorted(one["id"] for one in told["tokens"]) == sorted(by_id)
        for one in told["tokens"]:
            self.held(one, by_id[one["id"]])
        statistics, states = (await self.admin.get(f"{TOKENS}/stats")).json(), Counter(one.status for one in self.lines)
        assert {state: statistics[state] for state in ("active", "inactive", "revoked")} == {
            state: states[state] for state in ("active", "inactive", "revoked")
        }
        secrets = [self.pick(self.lines + self.derived).secret for _ in range(20)]
        results = (await self.admin.post("/validate/batch", {"tokens": secrets})).json()["results"]
        assert [one["active"] for one in results] == [self.outcome(secret, "") == "active" for secret in secrets]


@pytest.mark.parametrize("seed", [4, 8])
async def test_every_answer_is_as_the_book_has_it(still: Service, seed: int) -> None:
    admin = await sign_in(still)
    book = Book(admin, seed)
    limits = {"subject": "acme", "limits": book.limits_of(book.pool)}
    assert (await admin.ask("PUT", "/api/admin/subject-limits", json_body=limits)).status == 200
    await book.create()
    for _ in range(STEPS):
        await book.random.choice(book.steps())()
    await book.compare()
    for line in book.lines:
        assert Counter(await actions(still, line.token_id)) == line.audited
