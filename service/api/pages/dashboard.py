"""The dashboard's own routes: its static files, and the cookie that carries its session."""

import asyncio
from collections.abc import Callable
from pathlib import PurePath

import msgspec
from starlette.responses import Response

from service import __version__
from service.api.auth.callers import SignIn, anonymous
from service.api.auth.cookies import SessionCookies
from service.api.http.access import ANYONE
from service.api.http.bodies import Json
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.problems import NO_PATH
from service.api.http.timestamps import Instant, rfc3339
from service.api.pages.files import static_file
from service.dashboard.bundle import MEDIA_TYPES, below, load
from service.errors import NotFound, Unauthorized
from service.settings import Settings
from service.tokens.accounts.accounts import Accounts
from service.tokens.sessions import Sessions

# The dashboard is a client of the public API. Its own routes are not part of that API or its document.
_SESSION = "/dashboard/session"
# No script, style or address of other origins, and Trusted Types keep any text from becoming markup.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'"
)
_SECURITY = [
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Account(msgspec.Struct, rename="camel"):
    """The account that is signed in, and what the page must know about this server."""

    username: str
    role: str
    expires_at: Instant
    version: str
    max_lifetime_days: int
    retention_days: int
    accounts: bool
    label: str
    session_id: str


class SignedOut(Unauthorized):
    """Nobody is signed in; `accounts` says whether there is any account that could sign in."""

    def __init__(self, *, presented: bool, accounts: bool) -> None:
        super().__init__("Sign in to continue.", presented=presented)
        self.accounts = accounts


class DashboardApi(OperationGroup):
    """Serves the page and signs it in. For all else the page uses the public API, with the cookie as credential."""

    _sessions: Sessions
    _accounts: Accounts
    _clock: Callable[[], float]
    _cookies: SessionCookies
    _settings: Settings

    @Operation("GET", "/dashboard", ANYONE, hidden=True)
    async def redirect(self, call: Call) -> Response:
        """Redirects to the path with a slash, so that the page's relative addresses are correct."""
        return Response(status_code=308, headers={"location": f"{self._cookies.address.prefix(call)}/dashboard/"})

    @Operation("GET", "/dashboard/", ANYONE, hidden=True)
    @Operation("GET", "/dashboard/{path:path}", ANYONE, hidden=True)
    async def page(self, call: Call) -> Response:
        """A file below its checksum, cached forever; for any other path the page itself, revalidated each time."""
        path = call.path_parameters.get("path", "")
        version, _, name = path.partition("/")
        # Bundled at the first request, in a thread: most processes are never asked.
        packed, present = await asyncio.to_thread(load)
        cache, prefix = b"public, max-age=31536000, immutable", self._cookies.address.prefix(call)
        # A screen's path has no dot in its last part, a file's always has.
        if "." not in path.rpartition("/")[2]:
            name, cache = "index.html", b"no-cache"
        elif version != present or name not in packed:
            raise NotFound(NO_PATH)
        file = packed[name]
        if prefix and name == "index.html":
            # Only the page names its files by absolute addresses; scripts import each other by relative ones.
            file = below(prefix, file)
        return static_file(call, file, MEDIA_TYPES[PurePath(name).suffix], (b"cache-control", cache), *_SECURITY)

    @Operation("GET", _SESSION, ANYONE, hidden=True)
    async def who(self, call: Call) -> Response:
        """The signed-in account. Raises Unauthorized."""
        secret = self._cookies.read(call)
        verdict = await self._sessions.check(secret) if secret else None
        session = verdict.accepted if verdict else None
        if session is None:
            raise SignedOut(presented=secret is not None, accounts=len(self._accounts) > 0)
        return Json(self._account(session.subject, session.expires_at, session.token_id))

    @Operation("POST", _SESSION, ANYONE, hidden=True, pending=True)
    async def sign_in(self, call: Call) -> Response:
        """Exchange a password for the cookie."""
        self._cookies.require_kept(call)
        wanted = await call.json(SignIn)
        origin = anonymous(call, "dashboard")
        signed_in = await self._sessions.sign_in(wanted.username, wanted.password, origin)
        if replaced := self._cookies.read(call):
            # The browser forgets the replaced session with this answer; nobody else may continue with it either.
            await self._sessions.end(replaced, origin)
        age = signed_in.expires_at - int(self._clock())
        account = self._account(wanted.username, signed_in.expires_at, signed_in.token_id)
        return Json(account, headers=self._cookies.keep(call, signed_in.secret, age))

    @Operation("DELETE", _SESSION, ANYONE, hidden=True, pending=True)
    async def sign_out(self, call: Call) -> Response:
        """End the session and clear what the browser cached of it."""
        self._cookies.require_same_origin(call)
        secret = self._cookies.read(call)
        if secret:
            await self._sessions.end(secret, anonymous(call, "dashboard"))
        response = Response(status_code=204)
        # Not "cookies" and "storage": other applications' cookies of the domain and the page's preferences must stay.
        forget = (b"clear-site-data", b'"cache"')
        response.raw_headers = [*self._cookies.keep(call, "", 0), forget, (b"cache-control", b"no-store")]
        return response

    def _account(self, username: str, expires_at: int, session_id: str) -> Account:
        account = self._accounts.get(username)
        return Account(
            username,
            account.role.value if account else "user",
            rfc3339(expires_at),
            __version__,
            self._settings.max_lifetime_days,
            self._settings.retention_days,
            len(self._accounts) > 0,
            self._settings.label,
            session_id,
        )
