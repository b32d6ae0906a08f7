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


async def reload_accounts(path: Path | None, accounts: Accounts, sessions: Sessions, audit_log: AuditLog) -> None:
    """Put a changed accounts file in force.

    Sessions of accounts that went or changed are over at once; a file that cannot be read changes nothing.
    """
    try:
        found = read_accounts(path) if path else {}
    except AccountsError as error:
        # A mistake in the file must not lock everybody out: the accounts before stay in force.
        log.error("accounts were not reloaded: %s", error)
        return
    ended = accounts.replace(found)
    log.info("accounts reloaded", extra={"facts": {"accounts": len(found), "ended": len(ended)}})
    try:
        await audit_log.write("account.reloaded", _OPERATOR, "accounts", after={"accounts": len(found)})
        for name in ended:
            await sessions.end_all(name, _OPERATOR)
    except StoreUnavailable:
        # They are refused already, because their password mark is wrong; only the count of sessions lags behind.
        log.warning("ended sessions will be counted until they expire")
