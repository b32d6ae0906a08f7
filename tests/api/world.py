"""A running service with people signed in: what most tests of the wire stand on."""

from itertools import count
from typing import Any

import pytest

from tests.api.described import Described
from tests.api.running import Lifespan
from tests.api.wire import Answer, Client

TOKENS = "/api/admin/tokens"
# For modules in which it matters that another process may answer the next request.
BY_ONE_PROCESS_AND_BY_FOUR = pytest.mark.parametrize(
    "world", ["one process", pytest.param("four processes", marks=pytest.mark.slow)], indirect=True, scope="package"
)
_numbers = count(1)


def fresh(word: str) -> str:
    """A name that no other test uses."""
    return f"{word} {next(_numbers)}"


class Issuing:
    """Has tokens made by an administrator, whose session `admin` is."""

    client: Client
    admin: str

    def create(self, name: str = "", **terms: Any) -> dict[str, Any]:
        """A managed token with its secret, of a month and a name of its own unless it is told otherwise."""
        if not {"duration", "expiresAt"} & set(terms):
            terms["duration"] = "1month"
        body = {"name": name or fresh("made"), **terms}
        token: dict[str, Any] = self.client.done("POST", TOKENS, json_body=body, bearer=self.admin).json()["token"]
        return token

    def one_time(self, **terms: Any) -> str:
        """The secret of a new one-time token."""
        answer = self.client.done("POST", "/api/one-time-tokens", json_body=terms, bearer=self.admin)
        secret: str = answer.json()["token"]
        return secret


class World(Issuing):
    """The service, a client whose every answer is checked against the document, and three people's sessions."""

    def __init__(self, running: Lifespan, described: Described, password: str) -> None:
        self.running = running
        self.described = described
        self.client = Client(running.port, seen=described.evaluate)
        self.password = password
        self.admin, self.viewer, self.user = (self.client.sign_in(name, password) for name in ("admin", "vera", "uma"))
        self.ask, self.get, self.post = self.client.ask, self.client.get, self.client.post

    def secret(self, **terms: Any) -> str:
        """The secret of a new managed token."""
        secret: str = self.create(**terms)["token"]
        return secret

    def change(self, **changes: Any) -> Answer:
        """PATCH by the administrator."""
        return self.ask("PATCH", TOKENS, json_body=changes, bearer=self.admin)

    def validate(self, secret: str, path: str = "/validate", **headers: str) -> Answer:
        """The gateway's question; headers with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.get(path, bearer=secret, headers=sent)

    def shown(self, token_id: str) -> dict[str, Any]:
        """The token as a reader sees it."""
        answer = self.get(f"{TOKENS}/{token_id}", bearer=self.admin)
        assert answer.status == 200, answer
        record: dict[str, Any] = answer.json()
        return record
