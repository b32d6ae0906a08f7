"""Reading the accounts file again while the service runs."""

import logging
from pathlib import Path

from service.errors import StoreUnavailable
from service.model import Origin
from service.tokens.accounts.accounts import Accounts, AccountsError, read_accounts
from service.tokens.audit.log import AuditLog
from service.tokens.sessions import Sessions

log = logging.getLogger(__name__)
_OPERATOR = Origin(actor="operator", address="", channel="signal", request_id="")


class Reload:
    """Puts a changed accounts file in force."""

    def __init__(self, path: Path | None, accounts: Accounts, sessions: Sessions, audit_log: AuditLog) -> None:
        self._path = path
        self._accounts = accounts
        self._sessions = sessions
        self._audit_log = audit_log

    async def __call__(self) -> None:
        """Sessions of accounts that went or changed are over at once; a file that cannot be read changes nothing."""
        try:
            accounts = read_accounts(self._path) if self._path else {}
        except AccountsError as error:
            log.error("accounts were not reloaded: %s", error)
            return
        ended = self._accounts.replace(accounts)
        log.info("accounts reloaded", extra={"facts": {"accounts": len(accounts), "ended": len(ended)}})
        try:
            await self._audit_log.write("account.reloaded", _OPERATOR, "accounts", after={"accounts": len(accounts)})
            for name in ended:
                await self._sessions.end_all(name, _OPERATOR)
        except StoreUnavailable:
            # They are refused already, because their password mark is wrong; only the count of sessions lags behind.
            log.warning("ended sessions will be counted until they expire")
