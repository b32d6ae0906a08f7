"""HTTP to a running service; each refusal becomes one clear line."""

import http.client
import json
import os
import secrets
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlencode

from service import __version__
from service.cli.client import session_state
from service.cli.client.address import Address, service_address
from service.cli.client.heads import WholeHead
from service.cli.failure import Failure, NoAnswer, SignInNeeded, WrongUsage
from service.cli.terminal.output import printable, require_printable
from service.cli.terminal.report import unconfirmed

# A wrong TOKENS_URL is reported soon; a list of many tokens may take longer.
CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
# For requests that search all data.
LONG_READ_SECONDS = 600.0
# For requests that a healthy service answers at once.
PROBE_SECONDS = 5.0
# How long a command with many requests waits for a service that asks it to retry: a restarting Redis reads a million
# tokens in about a minute.
_PATIENCE_SECONDS = 120
_ASK_AGAIN = (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE)
_CHUNK_BYTES = 1 << 16
_STREAMED = ("application/x-ndjson", "text/csv")
Query = Mapping[str, object] | None
Shape = TypeVar("Shape")


class Answer(NamedTuple):
    """A complete response."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> dict[str, Any]:
        """The members of a JSON object; empty for anything else."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def problem(self) -> dict[str, Any]:
        """The members of a refusal by the service; empty for one by a proxy in between, or by anything else."""
        members = self.json() if self.headers.get_content_type() == "application/problem+json" else {}
        errors = members.get("errors", [])
        are_ours = isinstance(errors, list) and all(isinstance(error, dict) for error in errors)
        return members if are_ours and isinstance(members.get("detail"), str) else {}


@dataclass(eq=False, repr=False)
class Client:
    """Asks one service, on a new connection for each request, because questions to people come in between.

    Raises WrongUsage for a token that no header can carry, Failure for a refusal or an answer without the expected
    shape (of answers.py).
    """

    address: Address
    token: str = ""
    read_seconds: float = READ_SECONDS
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        # http.client would end with a traceback that shows the token.
        if not (self.token.isascii() and self.token.isprintable()):
            raise WrongUsage("what was given as a token is none: is it one line, and only that?")

    def get(self, path: str, shape: type[Shape], query: Query = None) -> Shape:
        return self.members(self.ask("GET", path, query=query), shape)

    def send(self, method: str, path: str, shape: type[Shape], body: object = None, *, query: Query = None) -> Shape:
        """The answer to a request that changes something; a body of bytes is NDJSON."""
        return self.members(self.ask(method, path, query=query, body=body), shape)

    def send_once(self, path: str, shape: type[Shape], body: object) -> Shape:
        """The answer to a POST that shows a secret. If the answer is lost, the repeat creates no second secret.

        Raises Failure, before the request, if the secret could not be printed.
        """
        require_printable(sys.stdout)
        # One key for both tries, with 128 random bits, so that it equals no other request's.
        key = secrets.token_hex(16)
        try:
            answer = self.ask("POST", path, body=body, key=key)
        except NoAnswer:
            answer = self.ask("POST", path, body=body, key=key)
        return self.members(answer, shape)

    def ask(self, method: str, path: str, *, query: Query = None, body: object = None, key: str = "") -> Answer:
        """The answer, whatever its status; `key` is an Idempotency-Key. Raises NoAnswer if there is none."""
        try:
            with self._request(method, path, query, body, key) as response:
                return _read(response)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def stream(self, path: str, query: Mapping[str, object]) -> Iterator[bytes]:
        """The body of a GET, in pieces of whole lines. If the answer breaks off, the last piece ends with a line."""
        try:
            with self._request("GET", path, query) as response:
                if response.status != http.client.OK or response.headers.get_content_type() not in _STREAMED:
                    raise refusal(_read(response), self.address)
                begun = b""
                while piece := response.read(_CHUNK_BYTES):
                    lines, end, begun = (begun + piece).rpartition(b"\n")
                    yield lines + end
                # A partial read takes an early end for the end. Without a length only half a line reveals it.
                if response.length or begun:
                    raise http.client.IncompleteRead(begun, response.length)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    @contextmanager
    def _request(
        self, method: str, path: str, query: Query, body: object = None, key: str = ""
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {
            "User-Agent": f"token-service/{__version__}",
            "Accept": "application/json",
            # So that the service closes the connection at once instead of keeping it for another request.
            "Connection": "close",
            # For the audit log, which records by what channel a change came.
            "X-Requested-With": "tokens-cli",
        }
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if key:
            headers["Idempotency-Key"] = key
        content = None
        # Bytes are lines of NDJSON, everything else becomes JSON.
        if body is not None:
            # Not as ASCII, so that an argument that is not UTF-8 is noticed here.
            content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        target = self.address.prefix + path
        if query:
            target += "?" + urlencode({name: "true" if value is True else value for name, value in query.items()})
        connection = self._connect()
        try:
            connection.request(method, target, content, headers)
            with connection.getresponse() as response:
                _require_length(response)
                yield response
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        kind: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
        if self.address.scheme == "https":
            kind = partial(http.client.HTTPSConnection, context=self.tls or ssl.create_default_context())
        connection = kind(self.address.host, self.address.port, timeout=CONNECT_SECONDS)
        connection.response_class = WholeHead
        connection.connect()
        # Connecting takes a few seconds at most, but an answer may need a search of all tokens.
        connection.sock.settimeout(self.read_seconds)
        return connection

    def members(self, answer: Answer, shape: type[Shape]) -> Shape:
        """The members of a successful answer, additional ones included."""
        if not 200 <= answer.status < 300:
            raise refusal(answer, self.address)
        # Imported here, because a container's health check waits for every import.
        import msgspec  # noqa: PLC0415

        try:
            members = msgspec.json.decode(answer.body)
            msgspec.convert(members, shape)
        # The answer of something else, such as a sign-in page.
        except (msgspec.DecodeError, RecursionError):
            raise _of_another(answer.status, self.address) from None
        if answer.status == http.client.ACCEPTED:
            unconfirmed(str(members.get("pending")))
        return cast(Shape, members)

    def _unreachable(self, error: Exception) -> NoAnswer:
        if isinstance(error, http.client.IncompleteRead):
            return NoAnswer(f"{self.address} broke off its answer: what came of it is not the whole")
        # Both connecting and reading end like this: a host that drops packets is as silent as a service that hangs.
        if isinstance(error, TimeoutError):
            return NoAnswer(f"no answer from {self.address}: is the service overloaded, or TOKENS_URL another's?")
        # A reset while connecting is reported as a refusal; this one came after the request.
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            return NoAnswer(
                f"{self.address} closed the connection without an answer: what it was asked may be done all the same, "
                "or TOKENS_URL is another's"
            )
        if not isinstance(error, OSError):
            # The answer itself is not repeated, because a terminal might obey it.
            return NoAnswer(f"what answers at {self.address} speaks no HTTP: check TOKENS_URL")
        reason = error.strerror or str(error) or type(error).__name__
        return NoAnswer(f"cannot reach {self.address}: {reason}. Is it running? TOKENS_URL says where it is")


def patiently(ask: Callable[[], Answer], tell: Callable[[str], None]) -> Answer:
    """The answer to a request that may be repeated, sent again when the service says so. `tell` gets the reason."""
    waited = 0
    while True:
        answer = ask()
        again = answer.headers.get("Retry-After", "") if answer.status in _ASK_AGAIN else ""
        # A proxy in between may send a date, or anything.
        seconds = max(1, int(again)) if again.isdecimal() and len(again) < 4 else 0
        if not seconds or waited + seconds > _PATIENCE_SECONDS:
            return answer
        tell(f"{answer.problem().get('detail', answer.status)} Waiting, {waited} s so far")
        time.sleep(seconds)
        waited += seconds


def _read(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, response.headers, response.read())


def _require_length(response: http.client.HTTPResponse) -> None:
    """Raises HTTPException for an invalid length, which `http.client` would treat as a missing one."""
    lengths = response.headers.get_all("Content-Length", [])
    fit = len(set(lengths)) <= 1 and all(length.isascii() and length.isdigit() for length in lengths)
    if not fit and not response.chunked:
        raise http.client.HTTPException


def refusal(answer: Answer, address: Address) -> Failure:
    """The meaning of an unsuccessful status for whoever runs the command."""
    problem = answer.problem()
    if not problem:
        return _of_another(answer.status, address)
    if answer.status == http.client.UNAUTHORIZED:
        return _sign_in(address, problem)
    detail = problem["detail"]
    fields = [f"{error.get('field')}: {error.get('message')}" for error in problem.get("errors", ())]
    # The detail may name only one field; whoever corrects several wants to see them all.
    if len(fields) > 1:
        detail = "; ".join(fields)
    if answer.status in _ASK_AGAIN:
        detail += f" (again in {answer.headers.get('Retry-After', '1')} s)"
    if answer.status == http.client.INTERNAL_SERVER_ERROR:
        # Only the log of the service has the cause, under this id.
        detail += f" Request id: {problem.get('request_id', '-')}"
    # The message may contain a name, which is untrusted text.
    return Failure(printable(detail), problem=problem)


def _of_another(status: int, address: Address) -> Failure:
    return Failure(
        f"{address} answered {status} {http.client.responses.get(status, '')}, "
        "which is no answer of a token service: check TOKENS_URL"
    )


def connect(*, read_seconds: float = READ_SECONDS) -> Client:
    """The client of the service, with TOKENS_TOKEN or the session of `login`.

    Raises Failure if there is neither.
    """
    address = service_address()
    # Before the session of `login`, so that a script never acts with the rights of the last person who signed in.
    token = named_token()
    if not token:
        session = session_state.read(str(address))
        if session is None:
            raise _sign_in(address)
        token = session.token
    return Client(address, token, read_seconds=read_seconds)


def named_token() -> str:
    """The token in TOKENS_TOKEN; empty without one."""
    return os.environ.get("TOKENS_TOKEN", "").strip()


def _sign_in(address: Address, problem: Mapping[str, Any] | None = None) -> Failure:
    if named_token():
        message = f"{address} does not accept TOKENS_TOKEN: give a valid one, or unset it and sign in"
    else:
        message = f"not signed in to {address}, or no longer: run `token-service login`"
    return SignInNeeded(message, problem=problem)
