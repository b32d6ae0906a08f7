"""Flask, Django and whatever else speaks WSGI: asks the token service about every request.

    app.wsgi_app = TokenCheck(app.wsgi_app, scopes=["orders:read"])     # Flask
    application = TokenCheck(get_wsgi_application())                    # Django's wsgi.py

The caller is `environ["token"]` (Flask: `request.environ`, Django: `request.META`): id, subject, scopes, kind, name;
the subject is REMOTE_USER, too. Needs nothing beside Python 3.11. TOKENS_TRUSTED_PROXIES of the service must have this
application's address.
"""

import time
from collections import deque
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import unquote, urlsplit
from uuid import uuid4

ASKED = {
    "HTTP_AUTHORIZATION": "Authorization",
    "HTTP_X_API_KEY": "X-API-Key",
    "HTTP_X_TOKEN": "X-Token",
    "HTTP_USER_AGENT": "User-Agent",
    "REMOTE_ADDR": "X-Forwarded-For",
}
# Nobody but the service says these; they are kept from applications that read headers behind a gateway.
IDENTITY = {f"HTTP_X_TOKEN_{name}" for name in ("ID", "SUBJECT", "SCOPES", "KIND", "NAME")}
IDENTITY |= {"HTTP_REMOTE_USER", "HTTP_X_AUTH_REQUEST_USER", "HTTP_X_TOKENS_RETRY_KEY", "REMOTE_USER"}
PASSED_ON = ("WWW-Authenticate", "Retry-After", "RateLimit", "RateLimit-Policy", "Content-Type", "Cache-Control")
PASSED_ON += ("X-Request-Id",)
UNDECIDED = (503, {"Retry-After": "1"}, b"")
IDLE_SECONDS = 60


class TokenCheck:
    """`url` may be .../validate/one-time: that one spends the token."""

    def __init__(self, app, url="http://127.0.0.1:8080/validate", scopes=(), connect_seconds=0.25, answer_seconds=2.0):
        self.app, self.url, self.scopes = app, urlsplit(url), " ".join(scopes)
        if self.url.scheme != "http":
            raise ValueError(f"{url}: write it like http://127.0.0.1:8080/validate")
        # With a query, which may ask for scopes.
        self.target = self.url._replace(scheme="", netloc="").geturl()
        self.connect_seconds, self.answer_seconds = connect_seconds, answer_seconds
        self.idle = deque()  # connections kept and since when; the last used first, for all threads

    def __call__(self, environ, start_response):
        status, headers, body = self.ask(self.question(environ))
        if status != HTTPStatus.OK:
            passed_on = [(name, headers[name]) for name in PASSED_ON if headers.get(name)]
            start_response(f"{status} {HTTPStatus(status).phrase}", [*passed_on, ("Content-Length", str(len(body)))])
            return [body]
        scopes = headers["X-Token-Scopes"].split()
        token = {name: headers[f"X-Token-{name}"] for name in ("id", "subject", "kind")}
        token |= {"scopes": [] if scopes == ["-"] else scopes, "name": unquote(headers.get("X-Token-Name", ""))}
        kept = {name: value for name, value in environ.items() if name not in IDENTITY}
        speaks_for = {} if token["subject"] == "-" else {"REMOTE_USER": token["subject"]}
        return self.app({**kept, **speaks_for, "token": token}, start_response)

    def question(self, environ):
        headers = {name: environ[key] for key, name in ASKED.items() if environ.get(key)}
        # The key says that a question asked again after a lost answer is the same.
        headers["X-Tokens-Retry-Key"] = uuid4().hex
        return {**headers, "X-Required-Scope": self.scopes} if self.scopes else headers

    def ask(self, headers):
        """Status, headers and body. A kept connection may have been closed meanwhile: then a new one, once."""
        while True:
            connection, kept = self.connection()
            done = False
            try:
                if not kept:
                    connection.connect()
                    connection.sock.settimeout(self.answer_seconds)
                connection.request("GET", self.target, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                done = not answer.will_close
            except TimeoutError:
                return UNDECIDED
            except (OSError, HTTPException, ValueError):
                if kept:
                    continue
                return UNDECIDED
            finally:
                if done:
                    self.idle.append((connection, time.monotonic()))
                else:
                    connection.close()
            if answer.status == HTTPStatus.OK:
                # The second is the last field: http.client takes a head that breaks off, half a scope in it, for whole.
                is_whole = "X-Token-Id" in answer.headers and "X-Request-Id" in answer.headers
                return (answer.status, answer.headers, body) if is_whole else UNDECIDED
            return (answer.status, answer.headers, body) if answer.status in {401, 403, 429, 503} else UNDECIDED

    def connection(self):
        """One to ask on, and whether it was kept."""
        while self.idle:
            try:
                connection, since = self.idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - since < IDLE_SECONDS:
                return connection, True
            connection.close()
        return HTTPConnection(self.url.hostname, self.url.port or 80, timeout=self.connect_seconds), False
