"""The validate endpoint, which gateways ask on every request."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from msgspec import Meta
from starlette.responses import Response

from service.api.auth.presented import Accepted, presented
from service.api.gateway.answers import ABSENT, UNAVAILABLE, answer, request_cost, required_scopes, retried_request
from service.api.http.access import GATEWAY
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.proxies import TrustedProxies
from service.api.http.validate_paths import ENVOY, ONE_TIME, ONE_TIME_ENVOY, PLAIN
from service.errors import StoreUnavailable
from service.metrics import NO_KIND, Metrics
from service.model import Kind, Verdict
from service.tokens.authority import MALFORMED, Authority
from service.tokens.one_time import OneTimeTokens
from service.tokens.secret import parse

KINDS = (Kind.SESSION, Kind.MANAGED)
_HOLDS = ("X-API-Key", "X-Token", "X-Required-Scope", "X-Forwarded-For")
_LIMITS = ("RateLimit", "RateLimit-Policy")
_IDENTITY = ("X-Token-Id", "X-Token-Subject", "X-Token-Scopes", "X-Token-Kind", "Remote-User", "X-Auth-Request-User")

_YES = (
    "Any method. Exactly 200 with an empty body means yes. With TOKENS_ACCEPT_BASIC, Basic presents a token as user "
    "or password. TOKENS_ACCEPT_ALSO adds further forms. Without these settings neither presents anything."
)
_QUERY = {"required_scope": Annotated[list[str], Meta(description="may repeat; all are required")]}

# Any method, because some gateways ask with the method of their own client.
_form = partial(Operation, "*", access=GATEWAY, description=_YES, answers={200: None})
_asks = partial(
    _form,
    header_names=(*_HOLDS, "X-Token-Cost"),
    problems=(401, 403, 429, 431, 500, 503),
    # The fields of managed tokens come last, because one-time tokens have none of them.
    answer_headers={200: (*_IDENTITY, "X-Token-Name", *_LIMITS), 429: _LIMITS},
)
_spends = partial(
    _form,
    header_names=(*_HOLDS, "X-Original-URI", "X-Forwarded-Uri", "X-Tokens-Retry-Key"),
    problems=(401, 403, 431, 500, 503),
    answer_headers={200: _IDENTITY},
)


class GatewayApi(OperationGroup, tag="gateway"):
    """Answers /validate and its forms. The fast path in edge/ gives the same bytes without this class."""

    _authority: Authority
    _one_time: OneTimeTokens
    _metrics: Metrics
    _trusted: TrustedProxies
    _accepted: Accepted

    @_asks(PLAIN, name="validate", query=_QUERY)
    async def validate(self, call: Call) -> Response:
        """Validate a session or managed token."""
        return await self._answer(call, required_scopes(call.scope["query_string"], call.scope["headers"]))

    @_asks(ENVOY, name="validateForEnvoy")
    async def validate_envoy(self, call: Call) -> Response:
        """Validate for Envoy's HTTP mode.

        The path behind it and the query belong to the client and are ignored.
        """
        return await self._answer(call, required_scopes(b"", call.scope["headers"]))

    async def _answer(self, call: Call, required: tuple[str, ...]) -> Response:
        headers = call.scope["headers"]
        cost = request_cost(headers, call.scope["client"], self._trusted)
        agent = call.header(b"user-agent") or b""

        def ask(secret: bytes) -> Awaitable[Verdict]:
            return self._authority.verify(
                secret, KINDS, required=required, address=call.address, agent=agent, cost=cost
            )

        return await self._decide(call, presented(headers, accepted=self._accepted), ask)

    @_spends(ONE_TIME, name="validateOneTimeToken")
    @_spends(ONE_TIME_ENVOY, name="validateOneTimeTokenForEnvoy", summary="Spend a one-time token in Envoy's HTTP mode")
    async def spend(self, call: Call) -> Response:
        """Validate a one-time token and spend it.

        The query is ignored.
        """
        headers = call.scope["headers"]

        def ask(secret: bytes) -> Awaitable[Verdict]:
            request = retried_request(headers, call.scope["client"], self._trusted)
            return self._one_time.consume(secret, request=request, required=required_scopes(b"", headers))

        return await self._decide(call, presented(headers, in_uri=True, accepted=self._accepted), ask)

    async def _decide(self, call: Call, secrets: list[bytes], ask: Callable[[bytes], Awaitable[Verdict]]) -> Response:
        if len(secrets) != 1:
            return self._respond(call, None, MALFORMED if secrets else ABSENT)
        started = time.perf_counter()
        try:
            verdict = await ask(secrets[0])
            self._metrics.validation_timing("ordinary").observe(time.perf_counter() - started)
        except StoreUnavailable:
            # Caught here and not by the application, because validations are counted by their verdicts.
            verdict = UNAVAILABLE
        # The kind is only for the metrics; the authority finds it by itself.
        return self._respond(call, parse(secrets[0]), verdict)

    def _respond(self, call: Call, kind: Kind | None, verdict: Verdict) -> Response:
        # A secret that another system made may have any form: its kind is in its record.
        shown = verdict.credential.kind if verdict.credential else kind
        self._metrics.validations.inc(shown or NO_KIND, verdict.outcome)
        status, headers, body = answer(verdict, call.request_id, basic=self._accepted.basic)
        response = Response(status_code=status)
        response.body = body
        response.raw_headers = headers
        if call.declares_body:
            # Some gateways declare a body and never send it, so nothing more can be read from this connection.
            response.raw_headers.append((b"connection", b"close"))
        return response
