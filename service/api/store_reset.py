"""The end of `store_reset`: somebody says that the store may be as empty as it is."""

from starlette.responses import Response

from service.api.admin.schemas.tokens import Message
from service.api.auth.callers import Callers
from service.api.http.access import ADMINISTER
from service.api.http.call import Call, Json, Operation, OperationGroup
from service.store.monitoring.monitor import Monitor
from service.tokens.audit.log import AuditLog


class StoreResetApi(OperationGroup):
    """Confirms that lost data is lost."""

    def __init__(self, monitor: Monitor, audit_log: AuditLog, callers: Callers) -> None:
        self._monitor = monitor
        self._audit_log = audit_log
        self._callers = callers

    @Operation("POST", "/api/admin/confirm-reset", ADMINISTER, "operation", "confirmReset", answers={200: Message})
    async def confirm(self, call: Call) -> Response:
        """Confirm that the store was emptied.

        Ends the check `store_reset` of every process. Brings nothing back; harmless where nothing was lost.
        """
        caller = await self._callers.admit(call)
        await self._monitor.confirm_reset()
        await self._audit_log.write("store.confirmed", caller.origin, "store")
        return Json(Message("The store is taken as it is"))
