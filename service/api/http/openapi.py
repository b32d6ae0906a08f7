"""The OpenAPI 3.1 document, made from the operations and the very types that decode and encode."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from service import __version__
from service.api.http.call import Operation
from service.api.http.problems import TITLES, Problem

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)(?::(\w+))?}")
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
# What every operation may answer besides its own; the questions of gateways are never refused for their form.
_ALWAYS = (400, 503)
_WITH_BODY = (413, 415)
_WITH_CALLER = (401, 403, 429)
_OPTIONAL_BODIES = ("IssueOneTime", "RotateToken")


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document as JSON-ready data."""
    operations = [operation for operation in operations if not operation.hidden]
    types = _types(operations)
    schemas, components = msgspec.json.schema_components(types.values(), ref_template=_REF)
    schemas, components = _portable(list(schemas)), _portable(components)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        for method in ("get", "post") if operation.method == "*" else (operation.method.lower(),):
            paths.setdefault(path, {})[method] = _describe(operation, method, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Token service",
            "version": __version__,
            "summary": "Issues, validates, consumes, rotates and revokes API tokens.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


def _portable(schema: Any) -> Any:
    """The schema with its patterns as JSON Schema writes them: there `$` is the very end, and no `\\Z` is known."""
    if isinstance(schema, dict):
        return {
            key: value.removesuffix(r"\Z") + "$" if key == "pattern" and isinstance(value, str) else _portable(value)
            for key, value in schema.items()
        }
    return [_portable(item) for item in schema] if isinstance(schema, list) else schema


def _types(operations: list[Operation]) -> dict[str, Any]:
    types: dict[str, Any] = {str(Problem): Problem}
    for operation in operations:
        answers = [kind for answer in operation.answers.values() for kind in _alternatives(answer)]
        for kind in [operation.body, *answers, *_query_types(operation).values()]:
            if kind is not None:
                types.setdefault(str(kind), kind)
    return types


def _alternatives(answer: Any) -> tuple[Any, ...]:
    """The types of an answer's body: none, one, or several of which the request decides."""
    return answer if isinstance(answer, tuple) else () if answer is None else (answer,)


def _query_types(operation: Operation) -> dict[str, Any]:
    """Query parameter to type: from a mapping, or from the fields of the struct that reads the query."""
    if operation.query is None:
        return {}
    if isinstance(operation.query, Mapping):
        return dict(operation.query)
    return {field.encode_name: field.type for field in msgspec.structs.fields(operation.query)}


def _describe(operation: Operation, method: str, by_type: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(part for part in (operation.description, f"For {operation.access.who}.") if part),
        "operationId": _operation_id(operation, method),
        "responses": _responses(operation, by_type),
    }
    if parameters := _parameters(operation, by_type):
        described["parameters"] = parameters
    if operation.body is not None:
        required = operation.body.__name__ not in _OPTIONAL_BODIES
        described["requestBody"] = _content(operation.body_media_type, by_type[str(operation.body)], required)
    elif operation.form is not None:
        described["requestBody"] = _content("application/x-www-form-urlencoded", _form(operation.form), True)
    if operation.access.credentials:
        scopes = [operation.access.scope] if operation.access.scope else []
        # An empty name stands for nobody: the operation serves callers without a credential, too.
        described["security"] = [{name: scopes} if name else {} for name in operation.access.credentials]
    return described


def _operation_id(operation: Operation, method: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", _PARAMETER.sub(r"by \1", operation.path))
    return method + "".join(word[:1].upper() + word[1:] for word in words)


def _content(media_type: str, schema: Any, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {media_type: {"schema": schema}}}


def _form(fields: Mapping[str, str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    return {"type": "object", "properties": properties, "required": ["token"]}


def _parameters(operation: Operation, by_type: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer" if kind == "int" else "string"}}
        for name, kind in _PARAMETER.findall(operation.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": by_type[str(kind)]}
        for name, kind in _query_types(operation).items()
    ]
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        for name in operation.header_names
    ]
    return parameters


def _responses(operation: Operation, by_type: Mapping[str, Any]) -> dict[str, Any]:
    statuses = dict(operation.answers)
    if operation.method != "*":
        with_body = operation.body is not None or operation.form is not None
        common = (*_ALWAYS, *(_WITH_CALLER if operation.access.credentials else ()), *(_WITH_BODY if with_body else ()))
        statuses = dict.fromkeys(common) | statuses
    return {str(status): _response(operation, status, statuses[status], by_type) for status in sorted(statuses)}


_DONE = {200: "OK", 201: "Created", 202: "Accepted"}


def _response(operation: Operation, status: int, kind: Any, by_type: Mapping[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _DONE.get(status) or TITLES.get(status, "OK")}
    if kind is not None:
        content: dict[str, list[Any]] = {}
        for one in _alternatives(kind):
            usual = "application/problem+json" if one is Problem else "application/json"
            media_types = operation.media_types.get(status, usual)
            for media_type in (media_types,) if isinstance(media_types, str) else media_types:
                content.setdefault(media_type, []).append(by_type[str(one)])
        response["content"] = {
            media_type: {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
            for media_type, schemas in content.items()
        }
        if status == 200:
            response["content"] |= {media_type: {"schema": {"type": "string"}} for media_type in operation.streams}
    elif status >= 400:
        response["content"] = {"application/problem+json": {"schema": by_type[str(Problem)]}}
    elif operation.answer_headers:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in operation.answer_headers}
    return response
