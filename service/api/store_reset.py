"""The end of `store_reset`: somebody says that the store may be as empty as it is."""

from service.api.admin.schemas.tokens import Message
from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER
from service.api.http.operation import Operation, OperationGroup
from service.store.monitoring.monitor import Monitor
from service.tokens.audit.log import AuditLog


class StoreResetApi(OperationGroup, tag="operation"):
    """Confirms that lost data is lost."""

    def __init__(self, monitor: Monitor, audit_log: AuditLog) -> None:
        self._monitor = monitor
        self._audit_log = audit_log

    @Operation("POST", "/api/admin/confirm-reset", ADMINISTER, "confirmReset")
    async def confirm(self, caller: Caller) -> Message:
        """Confirm that the store was emptied.

        Ends the check `store_reset` of every process. Brings nothing back; harmless where nothing was lost.
        """
        await self._monitor.confirm_reset()
        await self._audit_log.write("store.confirmed", caller.origin, "store")
        return Message("The store is taken as it is")
