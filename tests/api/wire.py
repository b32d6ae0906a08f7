"""Talking to a running service: plain requests, answers as they came, and bytes that no client would send."""

import base64
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any, Self
from urllib.parse import urlencode
from uuid import uuid4

import msgspec

from tests.api.running import wait_until

PROBLEM = "application/problem+json"


class Answer(msgspec.Struct, frozen=True):
    """One answer, header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The one header of this name; None without it, an AssertionError for two."""
        values = [value for other, value in self.headers if other == name]
        assert len(values) < 2, f"{name} came twice: {values}"
        return values[0] if values else None

    @property
    def media_type(self) -> str:
        return (self.header("content-type") or "").partition(";")[0]

    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)

    def problem(self, status: int, code: str) -> dict[str, Any]:
        """The body of a problem, after a look at everything that each problem must have."""
        assert (self.status, self.media_type) == (status, PROBLEM), self
        body: dict[str, Any] = self.json()
        assert body["code"] == code, body
        assert body["status"] == status
        assert body["request_id"] == self.header("x-request-id")
        assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
        assert set(body) <= {"type", "title", "status", "detail", "code", "request_id", "errors"}
        return body


Seen = Callable[[str, str, Answer], None]


def read_answer(response: HTTPResponse) -> Answer:
    """What http.client made of an answer."""
    body = response.read()
    headers = tuple((name.lower(), value) for name, value in response.getheaders())
    return Answer(response.status, headers, body)


# Longer than any answer takes on a busy machine: only what hangs is to fail by it.
PATIENCE_SECONDS = 60


class Client:
    """Asks on a connection of its own each time, so that any worker may answer. `seen` judges every answer."""

    def __init__(self, port: int, *, seen: Seen | None = None) -> None:
        self.port = port
        self._seen = seen

    def ask(
        self,
        method: str,
        path: str,
        *,
        bearer: str = "",
        basic: tuple[str, str] | None = None,
        json_body: Any = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; `json_body`, `form` or `body` with its media type in `headers`."""
        sent = dict(headers or {})
        if bearer:
            sent["Authorization"] = f"Bearer {bearer}"
        if basic:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        if json_body is not None:
            body, sent["Content-Type"] = json.dumps(json_body).encode(), "application/json"
        if form is not None:
            body, sent["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.connect()
            # A service may answer before it has read all that it was sent, and close.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body=body, headers=sent)
            answer = read_answer(connection.getresponse())
        finally:
            connection.close()
        if self._seen is not None:
            self._seen(method, path, answer)
        return answer

    def get(self, path: str, **more: Any) -> Answer:
        return self.ask("GET", path, **more)

    def post(self, path: str, json_body: Any = None, **more: Any) -> Answer:
        return self.ask("POST", path, json_body=json_body, **more)

    def done(self, method: str, path: str, **more: Any) -> Answer:
        """An answer that is no refusal; asks again with the same key while a busy machine leaves it unknown."""
        headers = {"Idempotency-Key": uuid4().hex, **more.pop("headers", {})}
        answers: list[Answer] = []

        def is_known() -> bool:
            answers.append(self.ask(method, path, headers=headers, **more))
            return answers[-1].status != 503

        wait_until(is_known, what=f"{method} {path} to be done")
        assert answers[-1].status in (200, 201), answers[-1]
        return answers[-1]

    def sign_in(self, username: str, password: str) -> str:
        """A session token."""
        answer = self.done("POST", "/api/token", json_body={"username": username, "password": password})
        token: str = answer.json()["token"]
        return token


def settle(client: Client, processes: int) -> None:
    """Ask for the metrics until every process has answered: each brings in then what it had counted.

    From here on a counter moves by what is done and by nothing that was done before.
    """
    met: set[str] = set()

    def all_are_met() -> bool:
        request_id = client.get("/metrics").header("x-request-id") or ""
        met.add(request_id.partition("-")[0])
        return len(met) == processes

    wait_until(all_are_met, what="every process to tell what it has counted")


class Raw:
    """A connection that sends exactly these bytes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer."""
        response = HTTPResponse(self._socket, method=method)
        try:
            response.begin()
            return read_answer(response)
        finally:
            response.close()

    def rest(self) -> bytes:
        """Everything until the other side closes; raises TimeoutError when it does not."""
        parts = []
        try:
            while part := self._socket.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            parts.append(b"")
        return b"".join(parts)
