"""The service behind the page: what a test arranges and asks over the API, beside the browser."""

import json
import urllib.request
from http.cookies import SimpleCookie
from typing import Any
from urllib.error import HTTPError

PASSWORD = "correct horse battery staple"
TOKENS = "/api/admin/tokens"
DEADLINE = 120


class Service:
    """A running service and an administrator's session with it."""

    def __init__(self, url: str) -> None:
        self.url = url
        headers = {"Origin": url, "X-Requested-With": "tokens-dashboard"}
        _, received = self._send("POST", "/dashboard/session", {"username": "admin", "password": PASSWORD}, headers)
        self.cookie = SimpleCookie(received["Set-Cookie"])["tokens"].value
        answer, _ = self._send("POST", "/api/token", {"username": "admin", "password": PASSWORD}, {})
        self._session = {"Authorization": f"Bearer {answer['token']}"}

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What the API answers an administrator; raises HTTPError for a refusal."""
        return self._send(method, path, body, self._session)[0]

    def create(self, name: str, **more: object) -> dict[str, Any]:
        """A new token, its secret under "token"."""
        answer = self.ask("POST", TOKENS, {"name": name, "duration": "1month", **more})
        return dict(answer["token"])

    def derive(self, parent: dict[str, Any], **more: object) -> dict[str, Any]:
        """A token that is derived from another one."""
        headers = {"Authorization": f"Bearer {parent['token']}"}
        answer, _ = self._send("POST", "/api/tokens/self/derive", {"ttlSeconds": 600, **more}, headers)
        return dict(answer["token"])

    def show(self, token_id: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"{TOKENS}/{token_id}"))

    def total(self) -> int:
        """Tokens of any state."""
        stats = self.ask("GET", f"{TOKENS}/stats")
        return int(stats["total"] + stats["revoked"])

    def validate(self, secret: str, **headers: str) -> int:
        """The status that a gateway gets."""
        try:
            self._send("GET", "/validate", None, {"Authorization": f"Bearer {secret}", **headers})
        except HTTPError as refused:
            refused.close()
            return refused.code
        return 200

    def _send(self, method: str, path: str, body: object, headers: dict[str, str]) -> tuple[Any, Any]:
        data = None if body is None else json.dumps(body).encode()
        more = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.url + path, data, {**more, **headers}, method=method)
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            text = response.read()
            return (json.loads(text) if text else None), response.headers
