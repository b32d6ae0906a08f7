"""Who is calling, and may they: the one place where callers of the administration are known and judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from service.api.http import Call
from service.api.verdicts import presented
from service.errors import Forbidden, Unauthorized
from service.model import Credential, Kind, Origin, Outcome, Role
from service.store.keys import encode_digest
from service.tokens.accounts import Accounts
from service.tokens.authority import Authority
from service.tokens.opened import Opened

READ = "tokens:read"
WRITE = "tokens:write"
BEARER = ("bearer",)
_KINDS = (Kind.SESSION, Kind.MANAGED)
# Reads an administrator's JWT and returns its subject; raises Unauthorized or Forbidden.
JwtReader = Callable[[bytes], Awaitable[str]]


class Caller(msgspec.Struct, frozen=True):
    """A known caller: who it is in the audit trail, and its role or its token's record."""

    origin: Origin
    role: Role | None = None
    credential: Credential | None = None

    @property
    def is_administrator(self) -> bool:
        """An account or JWT with every right, not a token with scopes."""
        return self.role is Role.ADMIN


class Holder(msgspec.Struct, frozen=True):
    """The holder of a managed token: its secret and record, and the digests of the secret as records have them."""

    origin: Origin
    secret: bytes
    credential: Credential
    digests: frozenset[str]


def bearer(call: Call) -> bytes | None:
    """The secret of an `Authorization: Bearer` header, None where there is none."""
    value = call.header(b"authorization")
    if value is None or value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip() or None


class Guard:
    """Knows callers by session, managed token or administrator's JWT."""

    def __init__(
        self, authority: Authority, accounts: Accounts, *, jwt: JwtReader | None, cookie: Callable[[Call], bytes | None]
    ) -> None:
        """`cookie` finds the dashboard's session in a request that proves to come from the dashboard."""
        self._authority = authority
        self._accounts = accounts
        self._jwt = jwt
        self._cookie = cookie

    async def reader(self, call: Call) -> Caller:
        """A caller who may read tokens. Raises Unauthorized or Forbidden."""
        return self._require(await self.caller(call), (Role.ADMIN, Role.VIEWER), READ)

    async def writer(self, call: Call) -> Caller:
        """A caller who may change tokens. Raises Unauthorized or Forbidden."""
        return self._require(await self.caller(call), (Role.ADMIN,), WRITE)

    async def administrator(self, call: Call) -> Caller:
        """An administrator's account or JWT; no managed token, whatever its scopes."""
        caller = self._require(await self.caller(call), (Role.ADMIN,), WRITE)
        if not caller.is_administrator:
            raise Forbidden("Only an administrator may do this, not a token.")
        return caller

    async def issuer(self, call: Call, scope: str) -> Caller:
        """An administrator, or the holder of a managed token with this scope."""
        return self._require(await self.caller(call), (Role.ADMIN,), scope)

    def _require(self, caller: Caller, roles: tuple[Role, ...], scope: str) -> Caller:
        if caller.role in roles:
            return caller
        if caller.role is not None:
            raise Forbidden("Your role can look but not change tokens." if caller.role is Role.VIEWER else
                            "Your account may not administer tokens.")  # fmt: skip
        if caller.credential is not None and not covers(caller.credential, scope):
            raise Forbidden(f"This needs a token with the scope {scope}.", scope=scope)
        return caller

    async def holder(self, call: Call) -> Holder:
        """Whoever presents a managed token, for a request about that token; spends and counts no use.

        Raises Unauthorized, also for a token that may not be used from this address.
        """
        secrets = presented(call.scope["headers"])
        if not secrets:
            raise Unauthorized("Send the token as Authorization: Bearer, X-API-Key or X-Token.", presented=False)
        verdict = await self._authority.look(secrets[0], (Kind.MANAGED,))
        credential = verdict.credential
        known = credential is not None and verdict.outcome in (Outcome.ACTIVE, Outcome.RATE_LIMITED)
        if credential is None or not known or len(secrets) > 1 or not Opened(b"", credential).admits(call.address):
            raise Unauthorized("The token is not valid.", presented=True)
        call.token_id = credential.token_id
        digests = frozenset(
            encode_digest(digest).decode() for digest in self._authority.digests(Kind.MANAGED, secrets[0])
        )
        return Holder(self._origin(call, f"token:{credential.token_id}", "self"), secrets[0], credential, digests)

    async def caller(self, call: Call) -> Caller:
        """Whoever presents a valid credential. Raises Unauthorized."""
        secret, channel = bearer(call), "api"
        if secret is not None and self._jwt is not None and secret.count(b".") == 2:
            return Caller(self._origin(call, await self._jwt(secret), "jwt"), Role.ADMIN)
        if secret is None:
            secret, channel = self._cookie(call), "dashboard"
        if secret is None:
            raise Unauthorized("Send a token as Authorization: Bearer.", presented=False)
        verdict = await self._authority.verify(
            secret, _KINDS, address=call.address, agent=call.header(b"user-agent") or b""
        )
        credential = verdict.credential
        if not verdict.active or credential is None:
            raise Unauthorized("The token is not valid.", presented=True)
        call.token_id = credential.token_id
        if credential.kind is Kind.MANAGED:
            return Caller(self._origin(call, f"token:{credential.token_id}", channel), None, credential)
        account = self._accounts.get(credential.subject)
        if account is None:
            raise Unauthorized("The token is not valid.", presented=True)
        return Caller(self._origin(call, credential.subject, channel), account.role, credential)

    def _origin(self, call: Call, actor: str, channel: str) -> Origin:
        return Origin(actor=actor, address=call.address, channel=channel, request_id=call.request_id)


def anonymous(call: Call, channel: str = "api") -> Origin:
    """The origin of a request whose caller is not known."""
    return Origin(actor="anonymous", address=call.address, channel=channel, request_id=call.request_id)


def covers(credential: Credential, scope: str) -> bool:
    """Does one of the record's scopes permit this one? `tokens:*` covers `tokens:read`."""
    return any(
        granted == scope or (granted.endswith("*") and scope.startswith(granted[:-1])) for granted in credential.scopes
    )
