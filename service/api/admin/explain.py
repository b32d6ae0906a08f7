"""Explain: why a token is accepted or refused, check by check, and what the gateway would be answered."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.api.auth.callers import Caller
from service.api.gateway.answers import Answer, answer, required_scopes
from service.api.http.access import READ
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import Instant, parse_rfc3339, rfc3339
from service.api.http.validate_paths import ONE_TIME, ONE_TIME_ENVOY, PLAIN, form_of
from service.errors import wrong
from service.model import Kind, Scope
from service.tokens.explanation.checks import Check
from service.tokens.explanation.explainer import Explainer, Explanation, Question

_FURTHEST = 100 * 365 * 86400


class ExplainToken(msgspec.Struct, forbid_unknown_fields=True):
    """A secret or the id of a managed token, and what a gateway would send with it.

    `address` is the client's address as a trusted proxy reports it; the default is the address of this request.
    `path` is a path of /validate, with its query. `at` is the present or later, within 100 years. `cost` is what
    the gateway sends in X-Token-Cost.
    """

    token: Annotated[str, Meta(max_length=4096)] | None = None
    id: Annotated[str, Meta(max_length=64)] | None = None
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=50)] = ()
    address: Annotated[str, Meta(max_length=64)] | None = None
    # The pattern is only for the OpenAPI document: `ExplainApi` refuses any other path and says why.
    path: Annotated[str, Meta(max_length=2048, extra_json_schema={"pattern": "^/+validate"})] = PLAIN
    at: Instant | None = None
    cost: Annotated[int, Meta(ge=1, le=1000)] = 1


class CheckShown(msgspec.Struct):
    """One check: `pass`, `fail` or `skipped`.

    `at`: when this state began, or when it ends. `by`: who caused it. `asked`, `held`: scopes or networks.
    """

    check: str
    result: str
    detail: str
    at: Instant | UnsetType = UNSET
    by: str | UnsetType = UNSET
    asked: tuple[str, ...] | UnsetType = UNSET
    held: tuple[str, ...] | UnsetType = UNSET


class AnswerShown(msgspec.Struct):
    """What the gateway would be answered, byte for byte; the request id in its body is the id of this request."""

    status: int
    headers: dict[str, str]
    body: str


class TokenExplained(msgspec.Struct):
    """The outcome (a `code` of /validate/batch, or `network_denied`), every check in the order in which a validation
    makes them, and the gateway's answer.
    """

    outcome: str
    checks: list[CheckShown]
    answer: AnswerShown


class ExplainApi(OperationGroup, tag="managed"):
    """Answers the operator's question why a token is accepted or refused."""

    _explainer: Explainer
    _clock: Callable[[], float]
    _accept_basic: bool

    @Operation("POST", "/api/admin/tokens/explain", READ, "explainToken", problems=(404,))
    async def explain(self, call: Call, caller: Caller, body: ExplainToken) -> TokenExplained:
        """Explain why a token is accepted or refused.

        Give `token` or `id`. The answer has every check of a validation in order, and the gateway's answer byte for
        byte. Nothing is spent, charged or counted; a one-time token stays usable.
        """
        explanation = await call.unless_gone(self._explainer.explain(self._read(call, body)))
        return _explained(explanation, answer(explanation.verdict, call.request_id, basic=self._accept_basic))

    def _read(self, call: Call, wanted: ExplainToken) -> Question:
        """The question of a body. Raises InvalidRequest."""
        if (wanted.token is None) == (wanted.id is None):
            raise wrong("token", "give either a token or an id")
        path, _, query = wanted.path.partition("?")
        form = form_of(path)
        if form is None:
            raise wrong("path", "this is no form of /validate")
        # Only the plain form reads its query: behind the other forms the query is the client's, or has no meaning.
        asked = required_scopes(query.encode() if form == PLAIN else b"", [])
        once = form in (ONE_TIME, ONE_TIME_ENVOY)
        return Question(
            # People paste secrets, often with a line end.
            secret=(wanted.token or "").encode().strip(),
            token_id=wanted.id or "",
            kinds=(Kind.ONE_TIME,) if once else (Kind.SESSION, Kind.MANAGED),
            required=tuple(dict.fromkeys((*asked, *wanted.scopes))),
            address=call.address if wanted.address is None else wanted.address,
            at=self._instant(wanted.at),
            cost=wanted.cost,
        )

    def _instant(self, text: str | None) -> float:
        now = self._clock()
        if text is None:
            return now
        at = parse_rfc3339(text, "at")
        # The bound is above every quota window and every expiry, and no calendar goes beyond the year 9999.
        if not int(now) <= at <= now + _FURTHEST:
            raise wrong("at", "what a record was in the past is not known: choose now or later, within 100 years")
        # `at` has whole seconds, and may name the second that is running.
        return max(at, now)


def _explained(explanation: Explanation, answer: Answer) -> TokenExplained:
    # Latin-1 decodes every byte that a header field may hold.
    headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
    return TokenExplained(
        explanation.verdict.outcome.value,
        [_shown(check) for check in explanation.checks],
        AnswerShown(answer.status, headers, answer.body.decode()),
    )


def _shown(check: Check) -> CheckShown:
    return CheckShown(
        check.check,
        check.result.value,
        check.detail,
        rfc3339(check.at) if check.at else UNSET,
        check.by or UNSET,
        check.asked or UNSET,
        check.held or UNSET,
    )
