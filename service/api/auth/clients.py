"""How programs authenticate to introspection, revocation and the batch: RFC 6749 section 2.3, or a Bearer token."""

from collections.abc import Mapping
from urllib.parse import unquote_plus

from service.api.auth.callers import anonymous, bearer, covers
from service.api.auth.presented import pair_of
from service.api.http.access import Access
from service.api.http.call import Call
from service.errors import RateLimited, Unauthorized
from service.model import Credential, Kind, Outcome
from service.tokens.accounts.login import InvalidCredentials, Login
from service.tokens.authority import Authority


class InvalidClient(Unauthorized):
    """The program that asks is not known, or may not ask this."""

    def __init__(self, *, presented: bool) -> None:
        super().__init__("The client is not known or may not do this.", presented=presented)
        self.code = "invalid_client"


class Clients:
    """Knows clients by a managed token with the right scope, or by an account."""

    def __init__(self, authority: Authority, login: Login) -> None:
        self._authority = authority
        self._login = login

    async def admit(self, call: Call, form: Mapping[str, str] | None = None) -> str:
        """The name of a client that may do this. Raises InvalidClient; RateLimited if it has to wait."""
        secret = bearer(call)
        if secret is not None:
            return await self._by_token(call, secret, None)
        form = form or {}
        name, password = _basic(call) or (form.get("client_id", ""), form.get("client_secret", ""))
        if not name:
            raise InvalidClient(presented=False)
        # A managed token as a client: RFC 6749 wants an id and a secret, so the id has to be the token's own.
        if password.startswith("rtk_"):
            return await self._by_token(call, password.encode(), name)
        try:
            signed_in = await self._login.check_password(name, password, anonymous(call, "oauth"))
        # That alone: a client whose password could not be checked now is told to wait, not that it is unknown.
        except InvalidCredentials:
            raise InvalidClient(presented=True) from None
        # The same as for a wrong password: another answer would tell that it was right.
        if signed_in.role not in call.access.roles:
            raise InvalidClient(presented=True)
        return name

    async def _by_token(self, call: Call, secret: bytes, token_id: str | None) -> str:
        verdict = await self._authority.verify(secret, (Kind.MANAGED, Kind.SESSION), address=call.address)
        credential = verdict.credential
        if credential is None or token_id not in (None, credential.token_id) or not self._may(credential, call.access):
            raise InvalidClient(presented=True)
        # It is known, and may come again.
        if verdict.outcome is Outcome.RATE_LIMITED:
            raise RateLimited("The client's rate limit is used up.", retry_after=verdict.retry_after)
        if not verdict.active:
            raise InvalidClient(presented=True)
        return credential.token_id

    def _may(self, credential: Credential, access: Access) -> bool:
        if credential.kind is Kind.SESSION:
            return self._login.role(credential.subject) in access.roles
        return covers(credential, access.scope)


def _basic(call: Call) -> tuple[str, str] | None:
    try:
        pair = pair_of(call.header(b"authorization") or b"")
        # RFC 6749, 2.3.1: both are form-encoded before they are put into the field.
        return pair and (unquote_plus(pair[0].decode()), unquote_plus(pair[1].decode()))
    except ValueError:
        raise InvalidClient(presented=True) from None
