"""Every answer checked against the OpenAPI document: it must be one that the document describes."""

import re
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker

from tests.api.wire import PROBLEM, Answer

# How the bytes go and who may keep them, which is the same for any answer.
_OF_ANY = frozenset(
    ("date", "server", "connection", "content-length", "content-type", "transfer-encoding", "cache-control")
)
# What any path may answer, described or not: the service's own refusals before an operation is found.
_BEFORE_ROUTING = {404: "not_found", 405: "method_not_allowed", 431: "head_too_large", 408: "request_timeout"}


def _closed(schema: Any, *, is_part: bool = False) -> Any:
    """The schema of an object that has the members it names and no others; of a part of one the whole says so."""
    if isinstance(schema, list):
        return [_closed(one, is_part=is_part) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value, is_part=name == "allOf") for name, value in schema.items()}
    if {"$ref", "allOf"} & {*schema} and not is_part:
        closed["unevaluatedProperties"] = False
    return closed


class Described:
    """Judges answers by the document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"] | {"schemas": _closed(document["components"]["schemas"])}
        self.paths: dict[str, dict[str, Any]] = document["paths"]
        exact_first = sorted(self.paths, key=lambda template: (template.count("{"), -len(template)))
        self._patterns = [(re.compile(self._pattern(template)), template) for template in exact_first]
        self._validators: dict[str, Draft202012Validator] = {}

    def evaluate(self, method: str, target: str, answer: Answer) -> None:
        """An AssertionError for an answer that the document does not describe."""
        template = self.template(urlsplit(target).path)
        operation = self.operation(method, template) if template else None
        if operation is None:
            if template is None and target.startswith(("/dashboard", "/docs")):
                return
            code = _BEFORE_ROUTING[answer.status]
            assert method == "HEAD" or answer.json()["code"] == code, (method, target, answer)
            return
        if answer.status == 405:
            return
        described = operation["responses"].get(str(answer.status))
        assert described, f"{method} {template} answers {answer.status}, which is not described: {answer.body!r}"
        if "$ref" in described:
            described = self._components["responses"][described["$ref"].rpartition("/")[2]]
        if method != "HEAD":
            self._check_body(described.get("content", {}), answer, f"{method} {template} {answer.status}")
        self._check_headers(described["headers"], answer)

    def operation(self, method: str, template: str) -> dict[str, Any] | None:
        """An operation by method and template; those that answer every method are described by two."""
        methods = self.paths[template]
        any_method = template.startswith("/validate") and template != "/validate/batch"
        found = methods.get("get" if any_method or method == "HEAD" else method.lower())
        return None if found is None else dict(found)

    def template(self, path: str) -> str | None:
        """The template that a path belongs to."""
        return next((template for pattern, template in self._patterns if pattern.fullmatch(path)), None)

    def _check_body(self, content: dict[str, Any], answer: Answer, where: str) -> None:
        if not content:
            assert answer.body == b"", f"{where} has a body, which is not described: {answer.body!r}"
            return
        assert answer.media_type in content, f"{where} is {answer.media_type}, described are {list(content)}"
        is_json = answer.media_type in ("application/json", PROBLEM)
        validator = self._validator(f"{where} {answer.media_type}", content[answer.media_type]["schema"])
        faults = list(validator.iter_errors(answer.json() if is_json else answer.body.decode()))
        assert not faults, f"{where}: {[fault.message for fault in faults]}"

    def _validator(self, where: str, schema: dict[str, Any]) -> Draft202012Validator:
        if where not in self._validators:
            whole = _closed(schema) | {"components": self._components}
            self._validators[where] = Draft202012Validator(whole, format_checker=FormatChecker())
        return self._validators[where]

    def _check_headers(self, described: dict[str, Any], answer: Answer) -> None:
        told = {name for name, _ in answer.headers} - _OF_ANY
        assert "x-request-id" in told, answer
        undescribed = told - {name.lower() for name in described}
        assert not undescribed, f"not described: {undescribed}"

    def _pattern(self, template: str) -> str:
        listed = [
            parameter for operation in self.paths[template].values() for parameter in operation.get("parameters", [])
        ]
        kinds = {parameter["name"]: parameter["schema"]["type"] for parameter in listed if parameter["in"] == "path"}
        kinds["anything"] = "rest"
        shapes = {"string": "[^/]+", "integer": r"\d+", "rest": ".*"}
        parts = re.split(r"{(\w+)}", template)
        return "".join(shapes[kinds[part]] if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
