"""The OpenAPI 3.1 document, built from the operations and from the same types that decode and encode."""

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from service import __version__
from service.api.http.access import Access
from service.api.http.examples import FIELDS, PROBLEM_EXAMPLES, REQUESTS, Examples
from service.api.http.operation import Operation
from service.api.http.problems import TITLES, Pending, Problem, problem_body
from service.api.http.router import PARAMETER, name_of
from service.identifiers import REQUEST_KEY

_REF = "#/components/schemas/{name}"
_TAGS = {
    "one-time": "Tokens of five minutes, spent by one use.",
    "sessions": "Tokens of a day for a username and password.",
    "managed": "Named tokens for administrators.",
    "gateway": "The question gateways ask on every request.",
    "oauth": "RFC 7662, RFC 7009, RFC 8414 and Kubernetes token reviews.",
    "webhooks": "Messages to other systems about tokens.",
    "audit": "Who changed what, and whether the record of it is whole.",
    "operation": "Health, readiness, metrics and this document.",
}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a session token, a managed token or a JWT"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "an account, or id and secret of a managed token; at /validate the token as user or password",
    },
}
# Statuses that every operation may answer besides its own; /validate describes its statuses itself.
_ALWAYS = (400, 431, 500, 503)
_WITH_BODY = (408, 413, 415)
_WITH_CALLER = (401, 403, 429)
# Any failed client authentication is 401 `invalid_client` (RFC 6749, 5.2).
_WITH_CLIENT = (401, 429)
# A holder whose token has used up its limit may still ask about the token, and end it.
_WITH_HOLDER, _WITH_SCOPE = (401,), (401, 403)

_OF_FIELD = {
    "Idempotency-Key": {"type": "string", "pattern": f"^{REQUEST_KEY.pattern}$"},
    "Retry-After": {"type": "integer"},
}
# The header fields of each refusal.
_OF_PROBLEM = {
    **dict.fromkeys((401, 403), ("WWW-Authenticate",)),
    **dict.fromkeys((429, 503), ("Retry-After",)),
}
_PATH_EXAMPLES = {"id": "0123456789abcdef", "delivery": "1799409600000-0.0", "version": 1, "anything": "orders/7"}
_FORM = "application/x-www-form-urlencoded"
_PROBLEM = "application/problem+json"


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document as data that can be encoded as JSON."""
    operations = [operation for operation in operations if not operation.hidden]
    description = _Description(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = name_of(operation.path)
        # OpenAPI cannot express "any method".
        for method in ("get", "post") if operation.method == "*" else (operation.method.lower(),):
            paths.setdefault(path, {})[method] = description.of(operation, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Token service",
            "version": __version__,
            "summary": "Issues, validates, consumes, rotates and revokes API tokens.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # For a document printed without a service. A service puts its own address here (`OperationsApi.document`).
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": description.components,
            "headers": {name: _field(name) for name in description.told},
            "responses": description.problems(),
            "securitySchemes": _SECURITY,
        },
    }


def _portable(schema: Any) -> Any:
    """The schema in the form that other tools read JSON Schema.

    In their patterns `$` means the very end, and `\\Z` is unknown. Generators ignore an enum without a type, and treat
    a field with a default as required.
    """
    if isinstance(schema, list):
        return [_portable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    portable = {
        key: re.sub(r"\\Z$", "$", value) if key == "pattern" and isinstance(value, str) else _portable(value)
        for key, value in schema.items()
        if key != "default" or (isinstance(value, dict) and "type" in value)
    }
    if isinstance(listed := portable.get("enum"), list):
        portable["type"] = "boolean" if isinstance(listed[0], bool) else "string"
    return portable


def _types(operations: list[Operation]) -> dict[str, Any]:
    types: dict[str, Any] = {str(Problem): Problem}
    for operation in operations:
        answers = [kind for answer in operation.answers.values() for kind in _alternatives(answer)]
        for kind in [operation.body, *answers, *(kind for _, kind, _ in _query_of(operation))]:
            if kind is not None:
                types.setdefault(str(kind), kind)
    return types


def _of_caller(access: Access) -> tuple[int, ...]:
    """The statuses that refuse a caller."""
    if access.fields:
        return _WITH_SCOPE if access.scope else _WITH_HOLDER
    return _WITH_CLIENT if "basic" in access.credentials else _WITH_CALLER if access.credentials else ()


def _alternatives(answer: Any) -> tuple[Any, ...]:
    """The types of an answer's body: none, one, or several from which the request selects."""
    return answer if isinstance(answer, tuple) else () if answer is None else (answer,)


def _query_of(operation: Operation) -> list[tuple[str, Any, bool]]:
    """Each query parameter, its type, and whether it is required; from a mapping or from the struct of the query."""
    if isinstance(operation.query, Mapping):
        return [(name, kind, False) for name, kind in operation.query.items()]
    fields = msgspec.structs.fields(operation.query) if operation.query else ()
    return [(field.encode_name, field.type, field.required) for field in fields]


def _asked(name: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """A query parameter; no text means null there."""
    found = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    given = dict(found[0] if len(found) == 1 else schema)
    about = {"description": given.pop("description")} if "description" in given else {}
    return {"name": name, "in": "query", "required": required, **about, "schema": given}


def _content(media_type: str, schema: Any, example: Any, *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {media_type: {"schema": schema, "example": example}}}


def _form(fields: Mapping[str, str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    return {"type": "object", "properties": properties, "required": ["token"]}


def _field(name: str) -> dict[str, Any]:
    return {"description": FIELDS[name], "schema": _OF_FIELD.get(name, {"type": "string"})}


def _name(status: int) -> str:
    return TITLES[status].replace(" ", "")


class _Description:
    """Describes operations with the schemas of the types that they read and answer."""

    def __init__(self, operations: list[Operation]) -> None:
        types = _types(operations)
        schemas, components = msgspec.json.schema_components(types.values(), ref_template=_REF)
        self.components: dict[str, Any] = _portable(components)
        self._by_type = dict(zip(types, _portable(list(schemas)), strict=True))
        self._examples = Examples(self.components)
        # The header fields of answers, as an ordered set.
        self.told: dict[str, None] = {}

    def of(self, operation: Operation, method: str) -> dict[str, Any]:
        """The description of an operation under this method."""
        described: dict[str, Any] = {
            "tags": [operation.tag],
            "summary": operation.summary,
            "description": " ".join(part for part in (operation.description, f"For {operation.access.who}.") if part),
            # An operation id may occur only once in a document.
            "operationId": f"{operation.name}ByPost" if (operation.method, method) == ("*", "post") else operation.name,
            "responses": self._responses(operation),
        }
        if parameters := self._parameters(operation):
            described["parameters"] = parameters
        if operation.body is not None:
            schema, required = self._by_type[str(operation.body)], not operation.body_optional
            example = REQUESTS.get(operation.name) or REQUESTS[operation.body.__name__]
            described["requestBody"] = _content(operation.body_media_type, schema, example, required=required)
        elif operation.form is not None:
            described["requestBody"] = _content(_FORM, _form(operation.form), REQUESTS["form"], required=True)
        if operation.access.credentials:
            scopes = [operation.access.scope] if operation.access.scope else []
            # An empty name means no credential: the operation also serves anonymous callers.
            described["security"] = [{name: scopes} if name else {} for name in operation.access.credentials]
        return described

    def problems(self) -> dict[str, Any]:
        """The refusals that operations share, by name."""
        # No operation answers 405 itself.
        return {_name(status): self._problem(status) for status in TITLES if status != 405}

    def _problem(self, status: int, *told: str) -> dict[str, Any]:
        example = json.loads(problem_body(status, *PROBLEM_EXAMPLES[status], "5f0c2a9e7d1b4c38"))
        return {
            "description": TITLES[status],
            "headers": self._fields(*_OF_PROBLEM.get(status, ()), *told),
            "content": {_PROBLEM: {"schema": self._by_type[str(Problem)], "example": example}},
        }

    def _fields(self, *names: str) -> dict[str, Any]:
        """The header fields of an answer; every answer has its request's id."""
        named = ("X-Request-Id", *names)
        self.told |= dict.fromkeys(named)
        return {name: {"$ref": f"#/components/headers/{name}"} for name in named}

    def _parameters(self, operation: Operation) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "integer" if kind == "int" else "string"},
                "example": _PATH_EXAMPLES[name],
            }
            for name, kind in PARAMETER.findall(operation.path)
        ]
        parameters += [
            _asked(name, self._by_type[str(kind)], required=required) for name, kind, required in _query_of(operation)
        ]
        parameters += [
            {"name": name, "in": "header", "required": False, **_field(name)}
            for name in (*operation.access.fields, *operation.header_names)
        ]
        return parameters

    def _responses(self, operation: Operation) -> dict[str, Any]:
        statuses = dict(operation.answers)
        if operation.method != "*":
            with_body = operation.refuses_body and (operation.body is not None or operation.form is not None)
            with_caller = _of_caller(operation.access)
            statuses = dict.fromkeys((*_ALWAYS, *with_caller, *(_WITH_BODY if with_body else ()))) | statuses
        return {str(status): self._response(operation, status, statuses[status]) for status in sorted(statuses)}

    def _response(self, operation: Operation, status: int, kind: Any) -> dict[str, Any]:
        told = operation.answer_headers.get(status, ())
        if kind is None and status >= 400:
            return self._problem(status, *told) if told else {"$ref": f"#/components/responses/{_name(status)}"}
        # Every 401 says how to authenticate, whatever its body is.
        told = (*told, *(_OF_PROBLEM[status] if status == 401 else ()))
        response = {"description": TITLES.get(status) or HTTPStatus(status).phrase, "headers": self._fields(*told)}
        if kind is not None:
            response["content"] = self._bodies(operation, status, kind)
        return response

    def _schemas(self, operation: Operation, kind: Any) -> list[Any]:
        told = self._by_type[str(kind)]
        if kind is not Pending:
            return [told]
        # A pending change adds to the usual answer, such as a new secret.
        answer = operation.answers[operation.status]
        return [{"type": "object", "allOf": [self._by_type[str(one)], told]} for one in _alternatives(answer)]

    def _bodies(self, operation: Operation, status: int, kind: Any) -> dict[str, Any]:
        content: dict[str, list[Any]] = {}
        for one in _alternatives(kind):
            usual = _PROBLEM if one is Problem else "application/json"
            media_types = operation.media_types.get(status, usual)
            for media_type in (media_types,) if isinstance(media_types, str) else media_types:
                content.setdefault(media_type, []).extend(self._schemas(operation, one))
        if status == 200:
            content |= {media_type: [{"type": "string"}] for media_type in operation.streams}
        return {
            media_type: {
                "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                "example": self._examples.of(schemas[0], operation.name),
            }
            for media_type, schemas in content.items()
        }
