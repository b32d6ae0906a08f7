"""Explain: why a token is accepted or refused, check by check, and what the gateway would get."""

from collections.abc import Callable

from service.api.admin.schemas.explain import ExplainToken, TokenExplained, explained
from service.api.auth.callers import Caller
from service.api.gateway.answers import answer, required_scopes
from service.api.http.access import READ
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.timestamps import parse_rfc3339
from service.api.http.validate_paths import ONE_TIME, ONE_TIME_ENVOY, PLAIN, form_of
from service.errors import wrong
from service.model import Kind
from service.tokens.explanation.explainer import Explainer, Question

_FURTHEST = 100 * 365 * 86400


class ExplainApi(OperationGroup, tag="managed"):
    """Answers the operator's second question: why not."""

    _explainer: Explainer
    _clock: Callable[[], float]
    _accept_basic: bool

    @Operation("POST", "/api/admin/tokens/explain", READ, "explainToken", problems=(404,))
    async def explain(self, call: Call, caller: Caller, body: ExplainToken) -> TokenExplained:
        """Explain why a token is accepted or refused.

        Give `token` or `id`. Every check of a validation in its order, and the gateway's answer to the byte.
        Nothing is spent, charged or counted, and one-time tokens stay good.
        """
        explanation = await call.unless_gone(self._explainer.explain(self._read(call, body)))
        return explained(explanation, answer(explanation.verdict, call.request_id, basic=self._accept_basic))

    def _read(self, call: Call, wanted: ExplainToken) -> Question:
        """The question of a body. Raises InvalidRequest."""
        if (wanted.token is None) == (wanted.id is None):
            raise wrong("token", "give either a token or an id")
        path, _, query = wanted.path.partition("?")
        form = form_of(path)
        if form is None:
            raise wrong("path", "this is no form of /validate")
        # The other forms do not read their query: there it belongs to the client, or means nothing.
        asked = required_scopes(query.encode() if form == PLAIN else b"", [])
        once = form in (ONE_TIME, ONE_TIME_ENVOY)
        return Question(
            # Pasted by people, often with the end of a line.
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
        # Quotas and ends reach beyond it, and no calendar reaches beyond the year 9999.
        if not int(now) <= at <= now + _FURTHEST:
            raise wrong("at", "what a record was in the past is not known: choose now or later, within 100 years")
        # `at` has whole seconds, and may name the one that has begun.
        return max(at, now)
