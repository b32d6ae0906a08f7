"""Who is calling, and what they may do: callers of the administration, checked against `access.py`."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.auth.presented import presented
from service.api.http.access import Access
from service.api.http.call import Call
from service.errors import Forbidden, RateLimited, StoreUnavailable, Unauthorized, token_not_valid
from service.model import Credential, Kind, Origin, Outcome, Role
from service.tokens.authority import Authority
from service.tokens.credential import DecodedCredential, missing_scopes

_KINDS = (Kind.SESSION, Kind.MANAGED)
# Outcomes that are accepted when a secret is checked again, because this request may have used it up.
_STILL_GOOD = (Outcome.ACTIVE, Outcome.RATE_LIMITED, Outcome.USES_EXHAUSTED)
# The caller says this itself, as a hint for readers of the audit log; it gives no right.
_COMMAND_LINE = b"tokens-cli"
# Reads an administrator's JWT and returns its subject; raises Unauthorized or Forbidden.
JwtReader = Callable[[bytes], Awaitable[str]]


class Caller(msgspec.Struct, frozen=True):
    """A known caller: its origin for the audit log, and its role or its token's record."""

    origin: Origin
    role: Role | None = None
    credential: Credential | None = None


class Holder(msgspec.Struct, frozen=True):
    """The holder of a managed token: its secret and record, and the digests the record may be stored under."""

    origin: Origin
    secret: bytes
    credential: Credential
    digests: frozenset[bytes]


def bearer(call: Call) -> bytes | None:
    """The secret of an `Authorization: Bearer` header, None where there is none."""
    value = call.header(b"authorization")
    if value is None or value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip() or None


class Callers:
    """Knows callers by session, managed token or administrator's JWT."""

    def __init__(self, authority: Authority, *, jwt: JwtReader | None, cookie: Callable[[Call], bytes | None]) -> None:
        """`cookie` finds the dashboard's session in a request that proves that the dashboard's own page sent it."""
        self._authority = authority
        self._jwt = jwt
        self._cookie = cookie

    async def admit(self, call: Call) -> Caller:
        """The caller, if the operation is open to it. Raises Unauthorized, Forbidden, or RateLimited by its token."""
        caller = await self.caller(call)
        require(caller, call.access)
        return caller

    async def holder(self, call: Call) -> Holder:
        """Whoever presents a managed token, for a request about that token; spends no use and counts none.

        Raises Unauthorized, also for a token that may not be used from this address; Forbidden if it lacks the scope.
        """
        # Only the usual fields: what TOKENS_ACCEPT_ALSO adds is valid only where gateways ask.
        secrets = presented(call.scope["headers"])
        if not secrets:
            raise Unauthorized("Send the token as Authorization: Bearer, X-API-Key or X-Token.", presented=False)
        # `peek`, because a token that asks about itself must not spend itself.
        verdict = await self._authority.peek(secrets[0], (Kind.MANAGED,))
        credential = verdict.credential
        if (
            credential is None
            or verdict.outcome not in _STILL_GOOD
            # A token whose limit or uses are exhausted must still be able to revoke itself. Without uses left it may
            # do nothing that needs a scope: it could derive a token and continue with that.
            or (verdict.outcome is Outcome.USES_EXHAUSTED and call.access.scope)
            or len(secrets) > 1
            # `peek` also answers third parties and therefore does not check the address.
            or not DecodedCredential(b"", credential).admits(call.address)
        ):
            raise token_not_valid()
        call.token_id = credential.token_id
        if call.access.scope and not covers(credential, call.access.scope):
            raise _lacks(call.access.scope)
        call.ask_again = partial(self._ask_again, secrets[0], credential, None)
        digests = frozenset(self._authority.digests(Kind.MANAGED, secrets[0]))
        return Holder(_origin(call, f"token:{credential.token_id}", "self"), secrets[0], credential, digests)

    async def caller(self, call: Call) -> Caller:
        """Whoever presents a valid credential. Raises Unauthorized, or RateLimited by its token."""
        secret, channel = bearer(call), "cli" if call.header(b"x-requested-with") == _COMMAND_LINE else "api"
        if secret is None:
            secret, channel = self._cookie(call), "dashboard"
        if secret is None:
            raise Unauthorized("Send a token as Authorization: Bearer.", presented=False)
        return await self.bearer_of(call, secret, channel)

    async def bearer_of(self, call: Call, secret: bytes, channel: str) -> Caller:
        """Whoever holds this secret. Raises as `caller`."""
        # No secret made here contains a dot.
        if self._jwt is not None and secret.count(b".") == 2:
            call.ask_again = partial(self._jwt, secret)
            return Caller(_origin(call, await self._jwt(secret), "jwt"), Role.ADMIN)
        authority, address, agent = self._authority, call.address, call.header(b"user-agent") or b""
        if (admitted := call.admitted) is None:
            verdict = await authority.verify(secret, _KINDS, address=address, agent=agent)
        else:
            # Counted only now: a body refused before the caller is checked is no use of the token.
            verdict = admitted.active
            authority.count(admitted, verdict, authority.clock(), address, agent)
            call.is_whole = True
        # Checked before invalid tokens are refused: this token is valid, and may come again.
        if verdict.outcome is Outcome.RATE_LIMITED:
            raise RateLimited("The token's rate limit is used up.", retry_after=verdict.retry_after)
        if (credential := verdict.accepted) is None:
            raise token_not_valid()
        call.token_id = credential.token_id
        role = self._role(credential)
        call.ask_again = partial(self._ask_again, secret, credential, role)
        if role is not None:
            return Caller(_origin(call, credential.subject, channel), role, credential)
        origin = _origin(call, f"token:{credential.token_id}", channel)
        return Caller(msgspec.structs.replace(origin, bound=credential), None, credential)

    def _role(self, credential: Credential) -> Role | None:
        """The role of a session's account; None for a managed token."""
        if credential.kind is Kind.MANAGED:
            return None
        account = self._authority.accounts.get(credential.subject)
        # The account was removed or disabled after the sign-in: its session ends with it.
        if account is None:
            raise token_not_valid()
        return account.role

    async def _ask_again(self, secret: bytes, credential: Credential, role: Role | None) -> None:
        """Raises Unauthorized if the secret has ended, StoreUnavailable if its rights have changed."""
        verdict = await self._authority.peek(secret, (credential.kind,))
        if verdict.outcome not in _STILL_GOOD:
            raise token_not_valid()
        if verdict.credential not in (credential, None) or self._role(credential) is not role:
            raise StoreUnavailable("What the token may was changed while the body came. Try again.")


def require(caller: Caller, access: Access) -> None:
    """Raises Forbidden for a caller that `access` does not admit."""
    if caller.role in access.roles:
        return
    if caller.role is Role.VIEWER:
        raise Forbidden("Your role can read tokens but not change them.")
    if caller.role is not None:
        raise Forbidden("Your account may not administer tokens.")
    if not access.scope:
        raise Forbidden("Only an administrator may do this, not a token.")
    if caller.credential is not None and not covers(caller.credential, access.scope):
        raise _lacks(access.scope)


def anonymous(call: Call, channel: str) -> Origin:
    """The origin of a request whose caller is not known."""
    return _origin(call, "anonymous", channel)


def _origin(call: Call, actor: str, channel: str) -> Origin:
    return Origin(actor, call.address, channel, call.request_id)


def _lacks(scope: str) -> Forbidden:
    return Forbidden(f"This needs a token with the scope {scope}.", scope=scope)


def covers(credential: Credential, scope: str) -> bool:
    """True when one of the record's scopes permits this scope."""
    return not missing_scopes(credential.scopes, (scope,))


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """A username and its password."""

    username: Annotated[str, Meta(max_length=256)]
    password: Annotated[str, Meta(max_length=1024)]
