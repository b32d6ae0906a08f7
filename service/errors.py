"""Exceptions: requests that cannot be served, and refused starts. A refused token is a `Verdict`, not an exception.

`service.api.http.problems` has the status codes.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

_WRITE = {"int": "a whole number", "str": "text", "array": "a list", "object": "an object", "bool": "true or false"}


def _write(found: re.Match[str]) -> str:
    return f"write {' or '.join(_WRITE.get(kind, kind) for kind in found[1].split(' | '))}"


# In the words of whoever writes a request, because msgspec names its own types and patterns.
_IN_WORDS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"Expected `([\w |]+)`", _write),
    (r", got `\w+`", ""),
    (r"matching regex '\^\[(.+)\]\{(\d+),(\d+)\}.*'", r"of \2 to \3 characters out of \1"),
    (r"matching regex '\^\(?\[(.+)\]\{(\d+)\}.*'", r"of \2 characters out of \1"),
    (r"matching regex '\^\[\^=\]\+=.*'", "like name=value"),
    (r"matching regex '\^\(\[!-,.*'", "of 1 to 128 characters out of visible ASCII; - alone says nobody"),
    (r"out of !-~$", "out of visible ASCII"),
    (r"out of \^\\\\x00-.*$", "that are no control characters"),
    (r"of length <= (\d+)", r"of at most \1"),
    (r"of length >= 1$", "that is not empty"),
    (r"of length >= (\d+)", r"of at least \1"),
    (r"(text of at \w+ \d+)$", r"\1 characters"),
)


_ABSENT_OR_UNKNOWN = r"Object (missing required|contains unknown) field `(.*)`"


class StartRefused(Exception):
    """The service must not start; the message is one line for the operator."""


class ServiceError(Exception):
    """Base of a request's errors. `code` is the contract's stable word; the message is safe to show to a caller."""

    code = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class InvalidRequest(ServiceError):
    """The request cannot be understood. `fields` pairs the path of each wrong field with the reason."""

    code = "invalid_request"

    def __init__(self, detail: str, *, fields: tuple[tuple[str, str], ...] = (), code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.fields = fields


# Cached: computing it for each refused request would leave cyclic garbage.
_type_info = cache(inspect.type_info)


def wrong(field: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {reason}.", fields=((field, reason),))


def place_and_reason(error: msgspec.ValidationError, kind: Any) -> tuple[str, str]:
    """The path of the value that does not fit `kind` ("" for the whole), and what to write there, in words."""
    # msgspec adds the place to the reason: "... - at `$.a.b`", or for a wrong name "... - at `key` in `$.a`".
    reason, *place = re.split(r" - at (`key` in )?`\$", str(error), maxsplit=1)
    in_name, path = place or (None, "")
    path = path.rstrip("`").lstrip(".")
    if found := re.fullmatch(_ABSENT_OR_UNKNOWN, reason):
        # msgspec's place is the object that lacks the field, or has it.
        reason = "is missing" if found[1] == "missing required" else "is not known"
        return ".".join(filter(None, (path, found[2]))), reason
    # msgspec names the value it found, but not the allowed ones.
    if reason.startswith("Invalid enum value"):
        choices = _choices(_type_info(kind), re.findall(r"\w+|\[", re.sub(r"\[[^]]*", "[", path)))
        reason = f"write {' or '.join(filter(None, (', '.join(choices[:-1]), *choices[-1:])))}"
    for pattern, words in _IN_WORDS:
        # In this order, because later patterns match what earlier ones wrote.
        reason = re.sub(pattern, words, reason)
    return path, f"{reason} as each name in it" if in_name else reason


def _choices(kind: inspect.Type, steps: Sequence[str]) -> list[str]:
    """The allowed words at the end of a path: a step is a field's name, or a bracket for any item or value."""
    match kind:
        case inspect.Metadata():
            return _choices(kind.type, steps)
        case inspect.UnionType():
            return [choice for one in kind.types for choice in _choices(one, steps)]
        case inspect.LiteralType() if not steps:
            # In the form JSON has.
            return [value if isinstance(value, str) else str(value).lower() for value in kind.values]
        case inspect.EnumType() if not steps:
            return [str(member.value) for member in kind.cls]
        case inspect.StructType() if steps:
            named = [one.type for one in kind.fields if one.encode_name == steps[0]]
            return _choices(named[0], steps[1:]) if named else []
        case inspect.ListType() | inspect.VarTupleType() if steps:
            return _choices(kind.item_type, steps[1:])
        case inspect.DictType() if steps:
            return _choices(kind.value_type, steps[1:])
    return []


class Unauthorized(ServiceError):
    """The caller is not known. `presented`: a credential came and was not valid (RFC 6750 section 3)."""

    code = "unauthorized"

    def __init__(self, detail: str, *, presented: bool, code: str | None = None) -> None:
        super().__init__(detail, code=code or ("invalid_token" if presented else None))
        self.presented = presented


def token_not_valid() -> Unauthorized:
    """The refusal of a presented token: the same for every defect."""
    return Unauthorized("The token is not valid.", presented=True)


class Forbidden(ServiceError):
    """The caller is known but may not do this. `scope` names the missing scope, if one would help."""

    code = "forbidden"

    def __init__(self, detail: str, *, scope: str | None = None) -> None:
        super().__init__(detail, code="insufficient_scope" if scope else None)
        self.scope = scope


class NotFound(ServiceError):
    """The thing does not exist, or no longer."""

    code = "not_found"


class Conflict(ServiceError):
    """The request conflicts with the present state: a taken name, a changed count."""

    code = "conflict"


class RateLimited(ServiceError):
    """Too many requests by this caller; `retry_after` in whole seconds."""

    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


# The message for every caller, by whatever route it asks.
NO_ANSWER = "The token store is not answering. Try again."


class StoreUnavailable(ServiceError):
    """Redis gave no usable reply in time. This is neither yes nor no: the caller may try again.

    `cause`: the reason for operators, in the log, readiness and the doctor; callers get only the detail.
    `was_sent`: a command was sent to Redis, so it may have been executed.
    """

    code = "store_unavailable"
    was_sent = False

    def __init__(self, detail: str, *, code: str | None = None, cause: str = "") -> None:
        super().__init__(detail, code=code)
        self.cause = cause or detail


class StoreFull(StoreUnavailable):
    """Redis has no memory left for a write. Reading, consuming and revoking still work."""

    code = "store_full"
