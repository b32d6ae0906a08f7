"""A pattern ends at the end: Python's `$` lets a newline pass there, which no lookup would ever match."""

import ast
import json
from typing import Any

import msgspec
import pytest

from service.api.admin.schemas.creation import Id
from service.api.admin.schemas.import_export import Digest, OldDigest
from service.api.one_time import Subject
from service.app import openapi_document
from service.model import Scope
from tests.contract.sources import modules, nodes


def _patterns() -> list[str]:
    """As the source writes them, with every backslash doubled."""
    return [
        ast.unparse(node.value).rstrip("'\"")
        for tree in modules().values()
        for node in nodes(tree)
        if isinstance(node, ast.keyword) and node.arg == "pattern"
    ]


def test_every_pattern_of_a_field_ends_at_the_end() -> None:
    patterns = _patterns()
    assert len(patterns) > 5
    assert [pattern for pattern in patterns if not pattern.endswith(r"\\Z")] == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [(Scope, "a:b"), (Subject, "ada"), (Id, "0" * 16), (Digest, "d" * 43), (OldDigest, "d" * 43), (OldDigest, "")],
)
def test_a_final_newline_is_refused(kind: Any, text: str) -> None:
    assert msgspec.convert(text, kind) == text
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text + "\n", kind)


def test_the_document_writes_patterns_as_json_schema_does() -> None:
    text = msgspec.json.encode(openapi_document()).decode()
    assert '"pattern":"^[0-9a-f]{16}$"' in text
    assert r"\\Z" not in text


@pytest.mark.slow
def test_the_document_is_valid() -> None:
    from openapi_spec_validator import validate  # half a second to import, and only here

    validate(json.loads(json.dumps(openapi_document())))
