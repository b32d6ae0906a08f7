"""How programs authenticate to introspection, revocation and the batch: RFC 6749 section 2.3, or a Bearer token."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import unquote_plus

from service.api.guard import anonymous, bearer, covers
from service.api.http import Call
from service.errors import RateLimited, Unauthorized
from service.model import Credential, Kind, Role
from service.tokens.authority import Authority
from service.tokens.sessions import InvalidCredentials, Sessions

INTROSPECT = "introspect"
REVOKE = "revoke"


class InvalidClient(Unauthorized):
    """The program that asks is not known, or may not ask this."""

    def __init__(self, *, presented: bool) -> None:
        super().__init__("The client is not known or may not do this.", presented=presented)
        self.code = "invalid_client"


class Clients:
    """Knows clients by a managed token with the right scope, or by an account."""

    def __init__(self, authority: Authority, sessions: Sessions) -> None:
        self._authority = authority
        self._sessions = sessions

    async def introspector(self, call: Call, form: Mapping[str, str] | None = None) -> str:
        """The name of a client that may introspect. Raises InvalidClient."""
        return await self._client(call, form or {}, INTROSPECT)

    async def revoker(self, call: Call, form: Mapping[str, str]) -> str:
        """The name of a client that may revoke. Raises InvalidClient."""
        return await self._client(call, form, REVOKE)

    async def _client(self, call: Call, form: Mapping[str, str], scope: str) -> str:
        secret = bearer(call)
        if secret is not None:
            return await self._by_token(call, secret, scope, None)
        name, password = _basic(call) or (form.get("client_id", ""), form.get("client_secret", ""))
        if not name:
            raise InvalidClient(presented=False)
        if password.startswith("rtk_"):
            return await self._by_token(call, password.encode(), scope, name)
        try:
            signed_in = await self._sessions.check_password(name, password, anonymous(call, "oauth"))
        except (InvalidCredentials, RateLimited):
            raise InvalidClient(presented=True) from None
        if signed_in.role not in (Role.ADMIN, Role.VIEWER):
            raise InvalidClient(presented=True)
        return name

    async def _by_token(self, call: Call, secret: bytes, scope: str, token_id: str | None) -> str:
        verdict = await self._authority.verify(secret, (Kind.MANAGED, Kind.SESSION), address=call.address)
        credential = verdict.credential
        if not verdict.active or credential is None or token_id not in (None, credential.token_id):
            raise InvalidClient(presented=True)
        if not self._may(credential, scope):
            raise InvalidClient(presented=True)
        return credential.token_id

    def _may(self, credential: Credential, scope: str) -> bool:
        if credential.kind is Kind.SESSION:
            role = self._sessions.role(credential.subject)
            return role is Role.ADMIN or (role is Role.VIEWER and scope == INTROSPECT)
        return covers(credential, scope)


def _basic(call: Call) -> tuple[str, str] | None:
    value = call.header(b"authorization")
    if value is None or value[:6].lower() != b"basic ":
        return None
    try:
        name, colon, password = b64decode(value[6:].strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidClient(presented=True) from None
    if not colon:
        raise InvalidClient(presented=True)
    return unquote_plus(name), unquote_plus(password)
