"""Limits that all tokens of a subject share, set by administrators."""

from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.admin.schemas.limits import Limits, LimitShown, limit_shown, to_limits
from service.api.admin.schemas.tokens import Message
from service.api.auth.callers import Caller
from service.api.http.access import ADMINISTER, READ
from service.api.http.call import PAGE, PageSize
from service.api.http.operation import Operation, OperationGroup
from service.errors import wrong
from service.identifiers import SUBJECT
from service.tokens.limits import Standing, SubjectLimits

_PATH = "/api/admin/subject-limits"
# Not empty, though a token's subject may be: tokens without a subject share no limits.
LimitedSubject = Annotated[
    str, Meta(pattern=r"^[!-~]{1,128}\Z", description="whom the tokens speak for, as `subject` of a token has it")
]


class SetSubjectLimits(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The limits of a subject, which replace its present ones."""

    subject: Annotated[str, Meta(pattern=rf"^({SUBJECT})\Z", description="whom the tokens speak for, not `-`")]
    limits: Limits


class SubjectLimitsShown(msgspec.Struct, rename="camel"):
    """A subject and its limits as they stand. The `RateLimit` field names each one `subject:` and its name."""

    subject: str
    limits: list[LimitShown]


class SubjectLimitsList(msgspec.Struct, rename="camel"):
    """Subjects with limits, sorted; `nextCursor` continues."""

    subjects: list[SubjectLimitsShown]
    next_cursor: str | None


class SubjectQuery(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """One subject, or a page of all subjects."""

    subject: LimitedSubject | None = None
    limit: PageSize = PAGE
    cursor: Annotated[LimitedSubject, Meta(description="`nextCursor` of the previous page")] | None = None


class RemovedSubject(msgspec.Struct, forbid_unknown_fields=True):
    """The subject whose limits to remove."""

    subject: LimitedSubject


class SubjectLimitsApi(OperationGroup, tag="managed"):
    """Sets, shows and removes the limits of subjects."""

    _limits: SubjectLimits

    @Operation("GET", _PATH, READ, "listSubjectLimits", problems=(404,))
    async def list(self, caller: Caller, query: SubjectQuery) -> SubjectLimitsList:
        """List the limits of subjects.

        With what remains of each limit; with `subject` only that one.
        """
        if query.subject is not None:
            return SubjectLimitsList([_shown(await self._limits.show(query.subject))], None)
        found = await self._limits.page(query.cursor or "", query.limit)
        # A full last page leads to an empty one, so that no page has to read ahead.
        cursor = found[-1].subject if len(found) == query.limit else None
        return SubjectLimitsList([_shown(one) for one in found], cursor)

    @Operation("PUT", _PATH, ADMINISTER, "setSubjectLimits")
    async def set(self, caller: Caller, body: SetSubjectLimits) -> SubjectLimitsShown:
        """Set the limits that all tokens of a subject share.

        Every managed token with this subject draws from this shared pool, besides its own limits, from the moment this
        answers. What is used of a limit stays used as long as the limit keeps its name.
        """
        if not body.limits:
            raise wrong("limits", "give at least one limit; DELETE takes them away")
        return _shown(await self._limits.set(body.subject, to_limits(body.limits), caller.origin))

    @Operation("DELETE", _PATH, ADMINISTER, "removeSubjectLimits", problems=(404,))
    async def remove(self, caller: Caller, query: RemovedSubject) -> Message:
        """Remove the limits of a subject.

        Its tokens keep their own limits.
        """
        await self._limits.remove(query.subject, caller.origin)
        return Message("The limits of this subject are removed")


def _shown(standing: Standing) -> SubjectLimitsShown:
    return SubjectLimitsShown(standing.subject, [limit_shown(quota) for quota in standing.quotas])
