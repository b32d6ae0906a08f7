"""Starlette, FastAPI, Quart, Litestar, Django's asgi.py: asks the token service about every request and websocket.

    app.add_middleware(TokenCheck, scopes=["orders:read"])      # Starlette, FastAPI
    application = TokenCheck(get_asgi_application())            # any other

The caller is `request.state.token` (`scope["state"]["token"]`): id, subject, scopes, kind, name.
Needs nothing beside Python 3.11. TOKENS_TRUSTED_PROXIES of the service must have this application's address.
"""

import asyncio
from collections import deque
from urllib.parse import unquote, urlsplit
from uuid import uuid4

CREDENTIALS = {b"authorization", b"x-api-key", b"x-token"}
# Nobody but the service says these; the name is kept from applications that read headers behind a gateway.
IDENTITY = {b"x-token-id", b"x-token-subject", b"x-token-scopes", b"x-token-kind", b"x-token-name", b"remote-user"}
IDENTITY |= {b"x-auth-request-user", b"x-tokens-retry-key"}
PASSED_ON = {b"www-authenticate", b"retry-after", b"ratelimit", b"ratelimit-policy", b"content-type", b"cache-control"}
PASSED_ON |= {b"x-request-id"}
UNDECIDED = (503, {b"retry-after": b"1"}, b"")


class TokenCheck:
    """`url` may be .../validate/one-time: that one spends the token."""

    def __init__(self, app, url="http://127.0.0.1:8080/validate", scopes=(), connect_seconds=0.25, answer_seconds=2.0):
        self.app, self.url = app, urlsplit(url)
        if self.url.scheme != "http":
            raise ValueError(f"{url}: write it like http://127.0.0.1:8080/validate")
        # With a query, which may ask for scopes.
        self.target = self.url._replace(scheme="", netloc="").geturl().encode()
        self.scopes = " ".join(scopes).encode()
        self.connect_seconds, self.answer_seconds = connect_seconds, answer_seconds
        self.idle = deque()  # connections kept, the last used first

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        status, headers, body = await self.ask(self.question(scope))
        if status != 200:
            passed_on = [(name, value) for name, value in headers.items() if name in PASSED_ON]
            await self.refuse(scope, send, status, passed_on, body)
            return
        said = {name: headers.get(b"x-token-" + name.encode(), b"-").decode() for name in ("id", "subject", "kind")}
        scopes = headers.get(b"x-token-scopes", b"-").decode().split()
        name = unquote(headers.get(b"x-token-name", b"").decode())
        token = {**said, "scopes": [] if scopes == ["-"] else scopes, "name": name}
        kept = [(name, value) for name, value in scope["headers"] if name.replace(b"_", b"-") not in IDENTITY]
        state = {**scope.get("state", {}), "token": token}
        await self.app({**scope, "headers": kept, "state": state}, receive, send)

    def question(self, scope):
        lines = [b"GET %s HTTP/1.1" % self.target, b"host: " + self.url.netloc.encode()]
        lines += [name + b": " + value for name, value in scope["headers"] if name in CREDENTIALS | {b"user-agent"}]
        lines += [b"x-forwarded-for: " + scope["client"][0].encode()] if scope.get("client") else []
        lines += [b"x-required-scope: " + self.scopes] if self.scopes else []
        # Says that a question asked again after a lost answer is the same.
        lines.append(b"x-tokens-retry-key: " + uuid4().hex.encode())
        return b"".join(line.translate(None, b"\r\n") + b"\r\n" for line in lines) + b"\r\n"

    async def ask(self, question):
        """Status, headers and body. A kept connection may have been closed meanwhile: then a new one, once."""
        while True:
            kept = bool(self.idle)
            try:
                if kept:
                    reader, writer = self.idle.pop()
                else:
                    opening = asyncio.open_connection(self.url.hostname, self.url.port or 80)
                    reader, writer = await asyncio.wait_for(opening, self.connect_seconds)
            except OSError:
                return UNDECIDED
            done = False
            try:
                writer.write(question)
                answer = await asyncio.wait_for(self.read(reader), self.answer_seconds)
                done = answer[1].get(b"connection") != b"close"
            except TimeoutError:
                return UNDECIDED
            except (OSError, EOFError, LookupError, ValueError, asyncio.LimitOverrunError):
                if kept:
                    continue
                return UNDECIDED
            finally:
                if done:
                    self.idle.append((reader, writer))
                else:
                    writer.close()
            if answer[0] == 200:
                return answer if b"x-token-id" in answer[1] else UNDECIDED
            return answer if answer[0] in {401, 403, 429, 503} else UNDECIDED

    @staticmethod
    async def read(reader):
        first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
        pairs = (line.partition(b":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        return int(first.split(b" ")[1]), headers, await reader.readexactly(int(headers[b"content-length"]))

    @staticmethod
    async def refuse(scope, send, status, headers, body):
        kind = "http"
        if scope["type"] == "websocket":
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
                return
            kind = "websocket.http"
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": body})
