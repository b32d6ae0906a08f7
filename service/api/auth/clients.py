"""How programs authenticate to introspection, revocation and the batch: RFC 6749 section 2.3, or a Bearer token."""

from collections.abc import Mapping
from functools import partial
from urllib.parse import unquote_plus

import msgspec

from service.api.auth.callers import Callers, anonymous, bearer, require
from service.api.auth.presented import pair_of
from service.api.http.call import Call
from service.errors import Forbidden, Unauthorized
from service.model import Origin
from service.tokens.accounts.accounts import Account, Accounts
from service.tokens.accounts.login import InvalidCredentials, Login


class InvalidClient(Unauthorized):
    """The program that asks is unknown, or may not ask this."""

    def __init__(self, *, presented: bool) -> None:
        asked = "Send a token as Authorization: Bearer, or HTTP Basic with a name and a password."
        detail = "The client is not known or may not do this." if presented else asked
        super().__init__(detail, presented=presented, code="invalid_client")


class Clients:
    """Identifies clients as `Callers` identifies callers, and also by the name and password of an account."""

    def __init__(self, callers: Callers, login: Login, accounts: Accounts) -> None:
        self._callers = callers
        self._login = login
        self._accounts = accounts

    async def admit(self, call: Call, form: Mapping[str, str] | None = None) -> Origin:
        """A client that may do this. Raises InvalidClient, or RateLimited if it has to wait."""
        origin, name, secret = anonymous(call, "oauth"), "", bearer(call)
        if secret is None:
            form = form or {}
            name, password = _basic(call) or (form.get("client_id", ""), form.get("client_secret", ""))
            if not name:
                raise InvalidClient(presented=False)
            if not password.startswith("rtk_"):
                return await self._by_password(call, name, password, origin)
            secret = password.encode()
        try:
            caller = await self._callers.bearer_of(call, secret, origin.channel)
            require(caller, call.access)
        except (Unauthorized, Forbidden):
            raise InvalidClient(presented=True) from None
        # RFC 6749 wants an id and a secret: for a managed token the id must be the token's own id.
        if name and (caller.credential is None or caller.credential.token_id != name):
            raise InvalidClient(presented=True)
        return msgspec.structs.replace(origin, actor=caller.origin.actor)

    async def _by_password(self, call: Call, name: str, password: str, origin: Origin) -> Origin:
        try:
            signed_in = await self._login.check_password(name, password, origin)
        # Only this error: a client whose password cannot be checked now must be told to wait, not that it is unknown.
        except InvalidCredentials:
            raise InvalidClient(presented=True) from None
        # The same answer as for a wrong password: another one would show that the password was right.
        if signed_in.role not in call.access.roles:
            raise InvalidClient(presented=True)
        call.ask_again = partial(self._ask_again, name, signed_in)
        return msgspec.structs.replace(origin, actor=name)

    async def _ask_again(self, name: str, signed_in: Account) -> None:
        """Raises InvalidClient if the account was changed or removed."""
        if self._accounts.get(name) != signed_in:
            raise InvalidClient(presented=True)


def _basic(call: Call) -> tuple[str, str] | None:
    try:
        pair = pair_of(call.header(b"authorization") or b"")
        # RFC 6749, 2.3.1: both are form-encoded before they are put into the field.
        return pair and (unquote_plus(pair[0].decode()), unquote_plus(pair[1].decode()))
    except ValueError:
        raise InvalidClient(presented=True) from None
