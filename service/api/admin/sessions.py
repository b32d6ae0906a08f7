"""Sign-ins as administrators see them: list sessions, end one or all sessions of a user, list the accounts."""

from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER, READ_ALL
from service.api.http.call import PAGE, PageSize
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import Instant, rfc3339, rfc3339_or_none
from service.model import Credential, Role
from service.tokens.accounts.accounts import Accounts
from service.tokens.sessions import Sessions

Username = Annotated[str, Meta(min_length=1, max_length=256)]


class SessionsQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Whose sessions."""

    # The default is empty, but a given empty value is refused: from an unset variable it would mean everybody.
    username: Annotated[Username, Meta(description="whose sessions; without it everybody's")] = ""
    limit: PageSize = PAGE


class SessionShown(msgspec.Struct, rename="camel"):
    """One valid session; `id` is the audit log's `target`, and the log says from which address it was created.

    `lastSeenAt`: when the last request with it came, refused requests included; null before the first. Written at
    most once a second.
    """

    id: str
    username: str
    created_at: Instant
    last_seen_at: Instant | None
    expires_at: Instant


class SessionList(msgspec.Struct):
    """Sessions, the latest sign-in first."""

    sessions: list[SessionShown]


class EndSessions(msgspec.Struct, forbid_unknown_fields=True):
    """Whose sessions to end: all of them, or only the one with this `id`."""

    username: Username
    id: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class SessionsEnded(msgspec.Struct):
    """How many sessions were ended."""

    message: str
    ended: int


class AccountShown(msgspec.Struct, rename="camel"):
    """One account of the accounts file; a disabled account cannot sign in.

    `lastSignInAt`: when a session was last created with its name and password; null when that is not known.
    """

    name: str
    role: Role
    disabled: bool
    last_sign_in_at: Instant | None


class AccountList(msgspec.Struct):
    """All accounts, sorted by name."""

    accounts: list[AccountShown]


class AdminSessionsApi(OperationGroup, tag="sessions"):
    """Shows and ends sign-ins; the accounts themselves are changed by the command line."""

    _sessions: Sessions
    _accounts: Accounts

    @Operation("GET", "/api/admin/sessions", READ_ALL, "listSessions")
    async def list(self, caller: Caller, query: SessionsQuery) -> SessionList:
        """List sessions.

        The sessions that passwords created, latest sign-in first; if there are very many, those that end last.
        """
        found = await self._sessions.listed(query.username, query.limit)
        return SessionList([_shown(session, used_at) for session, used_at in found])

    @Operation("POST", "/api/admin/sessions/revoke", ADMINISTER, "endSessionsOfUser", pending=True, problems=(404,))
    async def end(self, caller: Caller, body: EndSessions) -> SessionsEnded:
        """End the sessions of a user.

        All of them, also those being created now; with `id` only that one.
        """
        if body.id is None:
            ended = await self._sessions.end_all(body.username, caller.origin)
        else:
            await self._sessions.end_one(body.username, body.id, caller.origin)
            ended = 1
        return SessionsEnded(f"{ended} {'session' if ended == 1 else 'sessions'} ended", ended)

    @Operation("GET", "/api/admin/accounts", READ_ALL, "listAccounts")
    async def accounts(self, caller: Caller) -> AccountList:
        """List accounts.

        All accounts, disabled ones too, without anything about passwords. `token-service accounts` changes them.
        """
        found = self._accounts.items()
        last = await self._sessions.last_sign_ins([name for name, _ in found])
        return AccountList(
            [
                AccountShown(name, one.role, one.disabled, rfc3339_or_none(at))
                for (name, one), at in zip(found, last, strict=True)
            ]
        )


def _shown(session: Credential, used_at: int) -> SessionShown:
    made, ends = rfc3339(session.issued_at), rfc3339(session.expires_at)
    return SessionShown(session.token_id, session.subject, made, rfc3339_or_none(used_at), ends)
