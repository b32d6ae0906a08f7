"""A service that answers what a test tells it to, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

PROBLEM = "application/problem+json"
COUNTS = {"total": 5, "active": 3, "expired": 1, "inactive": 1, "revoked": 7}


class Asked(NamedTuple):
    """One request; its body is decoded JSON, or bytes where lines were sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Reply(NamedTuple):
    """One answer; status 0 is a connection closed without one."""

    status: int
    body: bytes
    headers: dict[str, str]


class Stub:
    """Replies in the order they were given for a method and path; the last one stays."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[Asked] = []
        self._replies: dict[tuple[str, str], list[Reply]] = {}

    def on(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/x-ndjson" if isinstance(body, bytes) else "application/json"}
        self._replies.setdefault((method, path), []).append(Reply(status, content, kind | (headers or {})))

    def problem(
        self,
        method: str,
        path: str,
        status: int,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **more: object,
    ) -> None:
        body = {"type": "about:blank", "status": status, "detail": detail, "request_id": "r-1", **more}
        self.on(method, path, body, status=status, headers={"Content-Type": PROBLEM, **(headers or {})})

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        replies = self._replies.get((asked.method, asked.path))
        if not replies:
            return Reply(404, json.dumps({"detail": "There is nothing at this path."}).encode(), {})
        return replies.pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def serving() -> Iterator[Stub]:
    """A stub behind a socket of its own, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            size = int(self.headers.get("Content-Length", 0))
            content = self.rfile.read(size)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            lines = self.headers.get("Content-Type") == "application/x-ndjson"
            body = content if lines else json.loads(content) if content else None
            reply = stub.reply(Asked(self.command, parts.path, query, dict(self.headers), body))
            if not reply.status:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def __getattr__(self, name: str) -> Any:
            """Every method is handled alike."""
            if name.startswith("do_"):
                return self.handle_any
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error: a test reads that of the command."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = Stub(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def token(name: str = "checkout-api", token_id: str = "00a1b2c3d4e5f607", **members: Any) -> dict[str, Any]:
    """A managed token as the API shows it."""
    return {
        "id": token_id,
        "name": name,
        "token": "****-****-****-abcd1234",
        "createdAt": "2026-11-20T10:00:00Z",
        "expiresAt": "2026-12-20T10:00:00Z",
        "isActive": True,
        "lastUsedAt": None,
        "createdBy": "admin",
        "description": "",
        "status": "active",
        "scopes": [],
        "limits": [],
        "subjectLimits": [],
        "subject": "",
        "metadata": {},
        "allowedNetworks": [],
        "maxUses": None,
        "usesLeft": None,
        "rotatedAt": None,
        "oldSecretValidUntil": None,
        "usage14d": [0] * 14,
        **members,
    }
