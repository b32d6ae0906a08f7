"""An administrator's plain HTTP calls to the service under test: sign in, make tokens. Not for timing."""

import http.client
import json
import secrets
import zlib
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tests.bench.servers import PASSWORD, BenchError, Server, wait_until

PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """One answer; header names in lower case, `body` decoded where it is JSON, else None."""

    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """Calls over a connection each, signed in as the bench's administrator."""

    def __init__(self, server: Server) -> None:
        self.port = server.port
        self.session = ""
        account = {"username": "admin", "password": PASSWORD}
        self.session = str(self.must("POST", "/api/token", account)["token"])

    def ask(self, method: str, path: str, body: object = None, *, bearer: str | None = None, key: str = "") -> Answer:
        """One request and its answer, whatever it is. `bearer`: another credential than the session's."""
        headers = {"Authorization": f"Bearer {bearer or self.session}"} if bearer or self.session else {}
        if key:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body), "application/json"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            raw = response.read()
        answered = {name.lower(): value for name, value in response.getheaders()}
        decoded = json.loads(raw) if "json" in answered.get("content-type", "") else None
        return Answer(response.status, answered, decoded)

    def must(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The decoded body of a 2xx answer; a 503 is asked again for a while. Raises BenchError for any other.

        The same key goes with each try, so that what is created is created once.
        """
        key, answers = secrets.token_hex(16), []

        def served() -> bool:
            answers.append(self.ask(method, path, body, key=key))
            return answers[-1].status != HTTPStatus.SERVICE_UNAVAILABLE

        wait_until(served, PATIENCE_SECONDS)
        answer = answers[-1]
        if answer.status // 100 != 2:
            raise BenchError(f"{method} {path} answered {answer.status}: {answer.body}")
        return dict(answer.body)

    def create(self, name: str, **fields: object) -> dict[str, Any]:
        """A managed token: its record with the secret in `token`."""
        body = {"name": name, "duration": "7days", **fields}
        return dict(self.must("POST", "/api/admin/tokens", body)["token"])


def unknown_token() -> str:
    """A managed token's well-formed secret that nobody issued."""
    stem = "rtk_" + secrets.token_hex(28)
    return f"{stem}{zlib.crc32(stem.encode()):08x}"
