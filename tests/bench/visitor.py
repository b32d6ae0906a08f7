"""The soak's callers, and the book of what must be true for them."""

import asyncio
import random
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from tests.bench.client import Answer, unknown_token
from tests.bench.wire import Wire

LIVING = 500
VALIDATE_SHARE = 0.95


@dataclass(eq=False)
class Token:
    """A managed token in the book. `ending`: its revoke was sent; `ended`: its revoke has answered."""

    secret: str
    token_id: str
    ending: bool = False
    ended: bool = False


@dataclass
class Book:
    """What must be true, what was asked, and every answer that was wrong.

    `unsure` counts changes that were not confirmed: they may have been made or not.
    """

    living: list[Token] = field(default_factory=list)
    ended: deque[Token] = field(default_factory=lambda: deque(maxlen=2000))
    asked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unsure: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    def check(self, right: bool, what: str, answer: Answer) -> None:
        if not right:
            self.statuses[answer.status] += 1
            self.wrong.append(f"{what}: {answer.status} {answer.headers} {answer.body}")


class Visitor:
    """One of the callers: a connection, and a second one for what must hold on any connection."""

    def __init__(self, first: Wire, second: Wire, book: Book, session: str, issuer: str) -> None:
        self.first = first
        self.second = second
        self.book = book
        self.session = session
        self.issuer = issuer
        self.changes = [self.create, self.revoke, self.consume, self.list]

    async def visit(self, until: float) -> None:
        """Ask and ask again; a connection that breaks is a wrong answer too, and ends the visit."""
        try:
            while time.monotonic() < until:
                chosen = self.validate if random.random() < VALIDATE_SHARE else random.choice(self.changes)
                await chosen()
        except (OSError, EOFError, ValueError, KeyError) as error:
            self.book.wrong.append(f"no well-formed answer: {error!r}")

    async def validate(self) -> None:
        """Mostly a living token; a tenth each an ended and an unknown one."""
        draw = random.random()
        if draw < 0.1:
            answer = await self._ask("validate", "GET", "/validate", bearer=unknown_token())
            self.book.check(answer.status == 401, "unknown token", answer)
            return
        pool = self.book.ended if draw < 0.2 and self.book.ended else self.book.living
        await self.validate_token(self.first, random.choice(pool))

    async def validate_token(self, wire: Wire, token: Token) -> None:
        """Refused if its revoke had answered before we asked; admitted if none was sent before the answer."""
        ended = token.ended
        self.book.asked["validate"] += 1
        answer = await wire.ask("GET", "/validate", bearer=token.secret)
        admitted = answer.status == 200 and answer.headers["x-token-id"] == token.token_id
        refused = answer.status == 401
        right = refused if ended else (admitted or refused) if token.ending else admitted
        self.book.check(right, f"token {token.token_id}, ending {token.ending}, ended {ended}", answer)

    async def create(self) -> None:
        body = {"name": f"soak {secrets.token_hex(8)}", "duration": "7days"}
        answer = await self._ask("create", "POST", "/api/admin/tokens", bearer=self.session, body=body)
        self.book.check(answer.status == 201, "create", answer)
        if answer.status != 201:
            self.book.unsure += 1
        else:
            token = Token(answer.body["token"]["token"], answer.body["token"]["id"])
            await self.validate_token(self.second, token)
            self.book.living.append(token)

    async def revoke(self) -> None:
        if len(self.book.living) < LIVING:
            return
        place = random.randrange(len(self.book.living))
        token, last = self.book.living[place], self.book.living.pop()
        if last is not token:
            self.book.living[place] = last
        token.ending = True
        path = f"/api/admin/tokens?id={token.token_id}"
        answer = await self._ask("revoke", "DELETE", path, bearer=self.session)
        self.book.check(answer.status == 200, "revoke", answer)
        if answer.status != 200:
            self.book.unsure += 1
            return
        token.ended = True
        await self.validate_token(self.second, token)
        self.book.ended.append(token)

    async def consume(self) -> None:
        answer = await self._ask("issue", "POST", "/api/one-time-tokens", bearer=self.issuer)
        self.book.check(answer.status == 201, "issue", answer)
        if answer.status != 201:
            return
        path, body = "/api/one-time-tokens/consume", {"token": answer.body["token"]}
        tries = (self.first.ask("POST", path, body=body), self.second.ask("POST", path, body=body))
        answers = await asyncio.gather(*tries)
        self.book.asked["consume"] += 2
        admitted = [one.status == 200 and one.body["valid"] for one in answers]
        refused = next((one for one in answers if one.status != 200), None)
        if refused:
            self.book.check(False, "consume", refused)
        # With an answer missing, nobody may have been told; two may never have been.
        once = admitted.count(True) == 1 or (refused is not None and not any(admitted))
        self.book.check(once, f"consumers of one token admitted: {admitted}", answers[0])

    async def list(self) -> None:
        answer = await self._ask("list", "GET", "/api/admin/tokens?limit=50", bearer=self.session)
        self.book.check(answer.status == 200 and len(answer.body["tokens"]) == 50, "list", answer)

    async def _ask(self, what: str, method: str, path: str, *, bearer: str, body: object = None) -> Answer:
        self.book.asked[what] += 1
        return await self.first.ask(method, path, bearer=bearer, body=body)
