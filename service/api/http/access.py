"""Who may call what: the table of roles and scopes. Each operation names an entry, and `callers.py` enforces it.

`service.tokens.rights` decides how many of its own rights a managed token may hand on.
"""

import msgspec

from service.model import Role

_BEARER = ("bearer",)
_BASIC_TOO = ("basic", "bearer")
_HOLDER_FIELDS = ("X-API-Key", "X-Token")
_ADMINS = frozenset({Role.ADMIN})
_READERS = frozenset({Role.ADMIN, Role.VIEWER})


class Access(msgspec.Struct, frozen=True):
    """Who is admitted: accounts with one of the roles, administrators' JWTs (as role admin), tokens with the scope.

    An empty scope admits no managed token. `credentials` are the ways to authenticate, under their names in the OpenAPI
    document; an empty name admits callers without a credential. `fields` may hold one too. `who` is for people.
    """

    who: str
    credentials: tuple[str, ...] = ()
    roles: frozenset[Role] = frozenset()
    scope: str = ""
    fields: tuple[str, ...] = ()


ANYONE = Access("anyone")
GATEWAY = Access("anyone who has the token that is validated", _BASIC_TOO)
HOLDER = Access("the holder of a managed token", _BEARER, fields=_HOLDER_FIELDS)
HOLDER_ROTATES, HOLDER_DERIVES = (
    Access(f"the holder of a managed token with the scope `{scope}`", _BEARER, scope=scope, fields=_HOLDER_FIELDS)
    for scope in ("self:rotate", "self:derive")
)
ISSUE = Access(
    "an administrator, a managed token with the scope `one-time:issue`, and anyone where TOKENS_ONE_TIME_ISSUE is open",
    (*_BEARER, ""),
    _ADMINS,
    "one-time:issue",
)


def _open_to(roles: frozenset[Role], scope: str, credentials: tuple[str, ...] = _BEARER, *, within: str = "") -> Access:
    accounts = "an administrator, a viewer" if Role.VIEWER in roles else "an administrator"
    return Access(f"{accounts}, or a managed token with the scope `{scope}`{within}", credentials, roles, scope)


READ = _open_to(_READERS, "tokens:read")
WRITE = _open_to(_ADMINS, "tokens:write", within=", within what it holds itself")
ADMINISTER = _open_to(_ADMINS, "tokens:admin")
# A token that may only read tokens sees neither webhooks nor sessions: a webhook's address may be a secret of its
# receiver, and who is signed in is private.
READ_ALL = _open_to(_READERS, "tokens:admin")
IN_PERSON = Access("an administrator; no managed token", _BEARER, _ADMINS)
INTROSPECT = _open_to(_READERS, "introspect", _BASIC_TOO)
REVOKE = Access(
    "an administrator, a managed token with the scope `revoke`, or the holder, without client authentication",
    (*_BASIC_TOO, ""),
    _ADMINS,
    "revoke",
)
