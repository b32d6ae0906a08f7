"""The question why a token is refused, and its answer, on the wire."""

from typing import Annotated

import msgspec
from msgspec import Meta

from service.api.gateway.answers import Answer
from service.api.http.timestamps import Instant, rfc3339
from service.api.http.validate_paths import PLAIN
from service.model import Scope
from service.tokens.explanation.checks import Check
from service.tokens.explanation.explainer import Explanation


class ExplainToken(msgspec.Struct, forbid_unknown_fields=True):
    """A secret or the id of a managed token, and what a gateway would ask with it.

    `address` is the client's as a trusted proxy reports it, by default that of this request. `path` is the form of
    /validate, its query included. `at` is now or later, within 100 years. `cost` is what the gateway says in
    X-Token-Cost.
    """

    token: Annotated[str, Meta(max_length=4096)] | None = None
    id: Annotated[str, Meta(max_length=64)] | None = None
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=50)] = ()
    address: Annotated[str, Meta(max_length=64)] | None = None
    # The pattern is for the document alone: what is no form of /validate is refused by `ExplainApi`, which says so.
    path: Annotated[str, Meta(max_length=2048, extra_json_schema={"pattern": "^/+validate"})] = PLAIN
    at: Instant | None = None
    cost: Annotated[int, Meta(ge=1, le=1000)] = 1


class CheckShown(msgspec.Struct, omit_defaults=True):
    """One check. `at`: when it became so, or is free again; `by`: who did it; `asked` and `held`: scopes, networks."""

    check: str
    result: str
    detail: str
    at: Instant | None = None
    by: str | None = None
    asked: tuple[str, ...] | None = None
    held: tuple[str, ...] | None = None


class AnswerShown(msgspec.Struct):
    """What the gateway would get, to the byte; the request id in a body is that of this request."""

    status: int
    headers: dict[str, str]
    body: str


class TokenExplained(msgspec.Struct):
    """The outcome, every check in the order of a validation, and the gateway's answer."""

    outcome: str
    checks: list[CheckShown]
    answer: AnswerShown


def explained(explanation: Explanation, answer: Answer) -> TokenExplained:
    """An explanation and the gateway's answer as readers see them."""
    # Latin-1 reads any byte that a field may hold.
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
        rfc3339(check.at) if check.at else None,
        check.by or None,
        check.asked or None,
        check.held or None,
    )
