"""The OpenAPI document, walked whole: what generators of clients and readers of examples rely on."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from service.api.http.examples import REQUESTS
from service.api.http.operation import Operation
from service.app import Service, openapi_document
from service.settings import Settings
from service.tokens.explanation.checks import ORDER

DOCUMENT: dict[str, Any] = json.loads(json.dumps(openapi_document()))
DESCRIBED = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]

BODIES = [(at, operation) for at, operation in DESCRIBED if "requestBody" in operation]


def parts(tree: Any, at: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the document and where it stands, examples left out."""
    if isinstance(tree, dict):
        yield at, tree
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        if key != "example":
            yield from parts(value, f"{at}/{key}")


def faults(schema: Any, value: Any) -> list[str]:
    judge = Draft202012Validator(schema | {"components": DOCUMENT["components"]}, format_checker=FormatChecker())
    return [fault.message for fault in judge.iter_errors(value)]


def test_operation_ids_read_as_names() -> None:
    names = [operation["operationId"] for _, operation in DESCRIBED]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name)] == []
    assert {"createToken", "listTokens", "validate", "introspectToken", "createSession"} <= set(names)


def test_what_a_browser_alone_asks_for_is_not_described() -> None:
    assert [name for name, _ in DESCRIBED if re.search(" /(dashboard|docs)", name)] == []


def test_every_body_has_an_example_that_its_schema_allows() -> None:
    bodies = [(at, part) for at, part in parts(DOCUMENT) if "schema" in part and "/content/" in at]
    assert len(bodies) > 80
    assert [at for at, body in bodies if "example" not in body] == []
    wrong = {at: found for at, body in bodies if (found := faults(body["schema"], body["example"]))}
    assert wrong == {}


def leaves(value: Any) -> Iterator[Any]:
    """What an example holds in the end."""
    if not isinstance(value, dict | list):
        yield value
        return
    for one in value.values() if isinstance(value, dict) else value:
        yield from leaves(one)


def test_no_example_holds_a_placeholder() -> None:
    """What stands for any text says nothing of what comes: an address, an id, or a word of a closed set."""
    bodies = [(at, part["example"]) for at, part in parts(DOCUMENT) if "example" in part]
    assert [at for at, example in bodies if "text" in list(leaves(example))] == []


def test_an_example_holds_words_that_answers_have_and_agrees_with_itself() -> None:
    paths = DOCUMENT["paths"]
    explained = answer_of(paths["/api/admin/tokens/explain"]["post"], "200")["example"]
    assert {one["check"] for one in explained["checks"]} <= set(ORDER)
    verified = answer_of(paths["/api/admin/audit/verification"]["get"], "200")["example"]
    assert verified["intact"] is not bool(verified["faults"])


def answer_of(operation: dict[str, Any], status: str) -> dict[str, Any]:
    """The schema and the example of an answer as JSON."""
    return dict(operation["responses"][status]["content"]["application/json"])


def test_the_example_of_what_shows_a_secret_shows_one() -> None:
    names = ("createToken", "rotateToken", "rotateOwnToken", "deriveToken")
    issuing = [operation for _, operation in DESCRIBED if operation["operationId"] in names]
    shown = [answer_of(operation, "201")["example"]["token"]["token"] for operation in issuing]
    assert shown == [f"rtk_{'0' * 56}89abcdef"] * len(names)


def test_what_is_pending_is_said_beside_the_usual_answer() -> None:
    changing = [(at, operation) for at, operation in DESCRIBED if "202" in operation["responses"]]
    assert len(changing) > 10
    for at, operation in changing:
        usual, pending = (
            answer_of(operation, "200" if "200" in operation["responses"] else "201"),
            answer_of(operation, "202"),
        )
        assert pending["example"] == usual["example"] | {"pending": pending["example"]["pending"]}, at
        assert faults(pending["schema"], usual["example"]), at


def test_every_operation_with_a_path_of_its_own_shows_one() -> None:
    named = [part for _, part in parts(DOCUMENT) if part.get("in") == "path"]
    assert [part for part in named if faults(part["schema"], part.get("example"))] == []


@pytest.mark.parametrize(
    "operation",
    [one for one in Service(Settings()).application.operations if one.body not in (None, str)],
    ids=lambda operation: operation.name,
)
def test_the_service_reads_the_example_of_a_request(operation: Operation) -> None:
    assert msgspec.json.decode(msgspec.json.encode(REQUESTS[operation.body.__name__]), type=operation.body)


def test_what_gateways_ask_is_never_refused_for_its_form() -> None:
    asked = [operation for at, operation in DESCRIBED if re.search(r" /validate(?!/batch)", at)]
    assert set().union(*(operation["responses"] for operation in asked)) == {
        *("200", "401", "403", "429", "431", "500", "503")
    }


def test_no_refusal_is_described_that_is_never_given() -> None:
    statuses = {at: set(operation["responses"]) for at, operation in DESCRIBED}
    # A client that may not ask this is 401 `invalid_client` (RFC 6749, 5.2), and one-time tokens have no limits.
    for path in ("/oauth2/introspect", "/oauth2/revoke", "/validate/batch", "/k8s/tokenreview"):
        assert {"401", "429"} <= statuses[f"POST {path}"]
        assert "403" not in statuses[f"POST {path}"]
    # Whoever ends a session is answered whatever was sent.
    always = {"400", "431", "500", "503"}
    assert statuses["DELETE /api/token"] == {"200", "202", *always}
    # A token that has used up its limit may ask about itself and end itself, and needs no scope for that.
    assert statuses["GET /api/tokens/self"] == statuses["GET /api/tokens/self/derived"] == {"200", "401", *always}
    assert statuses["DELETE /api/tokens/self"] == {"200", "202", "401", *always}
    one_time = {at: operation for at, operation in DESCRIBED if " /validate/one-time" in at}
    assert len(one_time) == 4
    for operation in one_time.values():
        assert set(operation["responses"]) == {"200", "401", "403", "431", "500", "503"}
        assert not {"X-Token-Name", "RateLimit"} & set(operation["responses"]["200"]["headers"])


def test_every_answer_tells_its_request_and_a_refusal_what_to_do() -> None:
    shared = DOCUMENT["components"]["responses"]
    for at, operation in DESCRIBED:
        for status, answer in operation["responses"].items():
            told = shared[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
            assert "X-Request-Id" in told["headers"], (at, status)
            assert ("WWW-Authenticate" in told["headers"]) is (status in ("401", "403")), (at, status)
            is_problem = "application/problem+json" in told.get("content", ())
            assert ("Retry-After" in told["headers"]) is (is_problem and status in ("429", "503")), (at, status)


def test_nothing_is_shared_that_no_operation_uses() -> None:
    used = {part["$ref"] for _, part in parts(DOCUMENT) if isinstance(part.get("$ref"), str)}
    shared = {
        f"#/components/{kind}/{name}"
        for kind in ("responses", "headers", "schemas")
        for name in DOCUMENT["components"][kind]
    }
    assert shared == used


def test_a_problem_has_the_members_of_the_public_interface_alone() -> None:
    problem = DOCUMENT["components"]["schemas"]["Problem"]
    assert {*problem["properties"]} - {*problem["required"]} == {"errors"}


def test_what_must_stand_in_a_query_is_required() -> None:
    asked = [(operation["operationId"], part) for _, operation in DESCRIBED for part in operation.get("parameters", ())]
    needed = {(name, part["name"]) for name, part in asked if part["in"] == "query" and part["required"]}
    assert needed == {("removeSubjectLimits", "subject"), ("deleteWebhook", "id")}


def test_what_an_answer_may_leave_out_is_never_null() -> None:
    told = {name: one for name, one in DOCUMENT["components"]["schemas"].items() if "additionalProperties" not in one}
    optional = {
        (name, member)
        for name, one in told.items()
        for member, kind in one.get("properties", {}).items()
        if member not in one.get("required", ()) and not faults(kind, None)
    }
    # Left out where the token was not valid, and null where it was issued without one.
    assert optional == {("Consumed", "subject"), ("Consumed", "data")}


def test_a_body_that_may_be_left_out_is_not_required() -> None:
    required = {operation["operationId"]: operation["requestBody"]["required"] for _, operation in BODIES}
    optional = {name for name, needed in required.items() if not needed}
    assert optional == {
        "deriveToken",
        "rotateOwnToken",
        "rotateToken",
        "rotateWebhook",
        "issueOneTimeToken",
        "endSession",
    }


def test_a_body_with_an_unknown_member_is_refused() -> None:
    """But where others say what may come: RFC 7662 and 7009, Kubernetes, and an old way to sign out that takes anything."""
    taken = set()
    for _, operation in BODIES:
        for form in operation["requestBody"]["content"].values():
            # An import takes lines of text.
            if isinstance(form["example"], dict) and not faults(form["schema"], form["example"] | {"strange": 1}):
                taken.add(operation["operationId"])
    assert taken == {"introspectToken", "revokeToken", "reviewToken", "endSession"}


def test_no_member_is_told_with_what_stands_in_its_place() -> None:
    """Generators take one with a default for one that must be given."""
    assert [at for at, part in parts(DOCUMENT) if "default" in part and not at.endswith("/properties")] == []


def test_every_enum_has_a_type() -> None:
    enums = [(at, part) for at, part in parts(DOCUMENT) if isinstance(part.get("enum"), list)]
    assert len(enums) > 5
    assert [at for at, part in enums if part.get("type") not in ("string", "boolean")] == []


def test_every_alternative_has_a_type() -> None:
    either = [(at, one) for at, part in parts(DOCUMENT) if isinstance(part.get("anyOf"), list) for one in part["anyOf"]]
    assert len(either) > 20
    assert [at for at, one in either if not {"type", "$ref"} & set(one)] == []


def test_no_filter_takes_an_empty_text_or_null() -> None:
    asked = [(name, part) for name, one in DESCRIBED if name.startswith("GET ") for part in one.get("parameters", ())]
    filters = [(name, part["name"], part["schema"]) for name, part in asked if part["in"] == "query"]
    filters += [("Filter", *item) for item in DOCUMENT["components"]["schemas"]["Filter"]["properties"].items()]
    assert len(filters) > 30
    # No filters: the page to go on with, and the token to check.
    names = {name for _, name, schema in filters if not faults(schema, "") or not faults(schema, None)}
    assert names <= {"cursor", "token"}


def test_every_reference_leads_somewhere() -> None:
    for at, part in parts(DOCUMENT):
        if isinstance(part.get("$ref"), str):
            _, _, kind, name = part["$ref"].split("/")
            assert name in DOCUMENT["components"][kind], at


# What a rule of the service refuses: the struct, or the operation and its parameter, and a value.
REFUSED = [
    ("CreateToken", {"name": ""}),
    ("CreateToken", {"name": "n" * 81}),
    ("CreateToken", {"name": "n", "scopes": ["A"]}),
    ("CreateToken", {"name": "n", "duration": "2days"}),
    ("CreateToken", {"name": "n", "expiresAt": "tomorrow"}),
    ("CreateToken", {"name": "n", "allowedNetworks": ["n" * 65]}),
    ("CreateToken", {"name": "n", "limits": [{"limit": 0, "periodSeconds": 1}]}),
    ("CreateToken", {"name": "n", "unknown": 1}),
    ("ChangeToken", {"ids": []}),
    ("Filter", {"status": "lost"}),
    ("Filter", {"status": "active,"}),
    ("EndTokens", {"all": False}),
    ("RotateToken", {"overlapSeconds": 604801}),
    ("ExplainToken", {"id": "x", "path": "/elsewhere"}),
    ("IssueOneTime", {"ttlSeconds": 0}),
    ("CreateWebhook", {"url": "ftp://example.com/", "events": ["token.created"]}),
    ("listTokens sort", "size"),
    ("listTokens limit", 201),
    ("listAuditEntries cursor", "x"),
    ("createToken Idempotency-Key", "a\tb"),
    ("createToken Idempotency-Key", "k" * 65),
    ("consumeOneTimeToken Idempotency-Key", ""),
]


# What they take, where the schema has a pattern that is for the document alone.
TAKEN = [
    ("ExplainToken", {"id": "x", "path": "/validate"}),
    ("ExplainToken", {"id": "x", "path": "/validate?required_scope=orders:read"}),
    ("ExplainToken", {"id": "x", "path": "//validate/one-time/envoy/orders"}),
    ("Filter", {"status": "active,expired"}),
    ("CreateWebhook", {"url": "http://10.0.0.1:9/hook?of=a", "events": ["token.created"]}),
    ("listAuditEntries cursor", "1799409600000-0.0"),
]


def schema_of(where: str) -> Any:
    name, _, parameter = where.partition(" ")
    if not parameter:
        return DOCUMENT["components"]["schemas"][name]
    operation = next(found for _, found in DESCRIBED if found["operationId"] == name)
    return next(found["schema"] for found in operation["parameters"] if found["name"] == parameter)


@pytest.mark.parametrize(("where", "value"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_the_rules_refuse_the_schema_refuses(where: str, value: Any) -> None:
    assert faults(schema_of(where), value)


@pytest.mark.parametrize(("where", "value"), TAKEN, ids=lambda value: str(value)[:50])
def test_what_the_rules_take_the_schema_takes(where: str, value: Any) -> None:
    assert faults(schema_of(where), value) == []


def test_no_pattern_ends_as_python_alone_writes_it_or_twice() -> None:
    patterns = {part["pattern"] for _, part in parts(DOCUMENT) if isinstance(part.get("pattern"), str)}
    assert len(patterns) > 8
    assert [pattern for pattern in patterns if pattern.endswith((r"\Z", "$$"))] == []
