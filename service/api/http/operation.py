"""How an operation is declared: its route, who may call it, and its input and output by its handler's signature.

`access.py` lists who may call an operation; `openapi.py` makes the document that describes all operations.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import UnionType
from typing import Any, ClassVar, NamedTuple, NewType, TypeVar, dataclass_transform, get_args

import msgspec
from starlette.responses import Response

from service.api.http.access import Access
from service.api.http.bodies import BODY_BYTES, json_of
from service.api.http.call import Call, convert_query
from service.api.http.problems import Pending
from service.errors import ServiceError

Handler = Callable[[Call], Awaitable[Response]]
# Finds one parameter of a handler, such as the caller or the body.
Reader = Callable[[Call], Awaitable[Any]]
# What a path has in the place of {id}.
PathId = NewType("PathId", str)
H = TypeVar("H", bound=Callable[..., Awaitable[object]])


class Operation(msgspec.Struct, frozen=True):
    """One method of one path: how it is routed, who may call it, and how the OpenAPI document describes it.

    `name` is its operation id, which generated clients use as the name of their function. Used as a decorator it reads
    from the handler's docstring the summary and the beginning of the description, unless a summary is given, and from
    the signature the types of the parameters `body` and `query` and of the result, which is answered with `status`.
    `method` "*" answers every method. `problems` are the statuses of its own refusals. With `pending` an unconfirmed
    change is 202. `answers` maps further statuses to the type of their body: a tuple if the request selects one of
    several, None for no body. `streams` names further media types of a 200; `body_media_type` is the media type of a
    text body that is not JSON. `header_names` are header fields of requests, `answer_headers` those of answers by
    status. With `body_optional` an empty body means all defaults. Without `refuses_body` any body is accepted.
    `refusal` makes the answers of a protocol that has refusals of its own; where it returns None the answer is a
    problem. `retry_after`: a 503 may tell the client to retry. `takes` maps the handler's parameters to their types;
    with `is_plain` the handler takes only the call and returns a response.
    """

    method: str
    path: str
    access: Access
    name: str = ""
    tag: str = ""
    summary: str = ""
    description: str = ""
    body: Any = None
    body_media_type: str = "application/json"
    body_bytes: int = BODY_BYTES
    refuses_body: bool = True
    body_optional: bool = False
    form: Mapping[str, str] | None = None
    query: Any = None
    header_names: tuple[str, ...] = ()
    status: int = 200
    problems: tuple[int, ...] = ()
    pending: bool = False
    answers: Mapping[int, Any] = {}
    media_types: Mapping[int, str | tuple[str, ...]] = {}
    streams: tuple[str, ...] = ()
    answer_headers: Mapping[int, tuple[str, ...]] = {}
    hidden: bool = False
    refusal: Callable[[ServiceError], Response | None] = lambda _: None
    retry_after: bool = True
    takes: Mapping[str, Any] = {}
    is_plain: bool = False

    def __call__(self, handler: H) -> H:
        """Record on the handler that it answers this operation; several are listed in the order they are written."""
        first, _, rest = (inspect.getdoc(handler) or "").partition("\n")
        # Once per class and not per service, of which tests make thousands. These must be types and not strings, so no
        # module of handlers may have `from __future__ import annotations`.
        takes = dict(handler.__annotations__)
        told = takes.pop("return")
        described = msgspec.structs.replace(
            self,
            summary=self.summary or first.removesuffix("."),
            description=" ".join((self.description if self.summary else f"{rest} {self.description}").split()),
            takes=takes,
            body=takes.get("body", self.body),
            query=takes.get("query", self.query),
            is_plain=list(takes.values()) == [Call] and _is_response(told),
            answers={
                **_answer(self.status, told),
                **self.answers,
                **({202: Pending} if self.pending else {}),
                **dict.fromkeys(self.problems),
            },
        )
        # Decorators are applied from the last to the first.
        vars(handler).setdefault("operations", []).insert(0, described)
        return handler


class Endpoint(NamedTuple):
    """An operation and the handler that answers it."""

    operation: Operation
    handler: Handler


@dataclass_transform(eq_default=False)
class OperationGroup:
    """A class whose methods answer the operations that decorate them. The document lists them under its `tag`.

    Its annotated fields are the collaborators that its constructor takes, in order, as in a dataclass.

    A method may take the call, the caller, the id in its path, a `query` and a `body`. They are read and checked in the
    order of the parameters. It returns a struct that is answered as JSON, or a complete response.
    """

    _operations: ClassVar[list[tuple[str, Operation]]]

    def __init_subclass__(cls, *, tag: str = "") -> None:
        # Not in the decorators: they run before the class, and so its tag, exists.
        cls._operations = [
            (name, msgspec.structs.replace(operation, tag=tag))
            for name, member in vars(cls).items()
            for operation in getattr(member, "operations", ())
        ]

    def __init__(self, *collaborators: Any) -> None:
        # Not a dataclass: generating one takes as long as the rest of a module, and there are twenty.
        vars(self).update(zip(inspect.get_annotations(type(self)), collaborators, strict=True))

    def endpoints(self, callers: Mapping[type, Reader]) -> list[Endpoint]:
        """The operations of this class, in the order of its methods. `callers` finds a caller by its type."""
        return [
            Endpoint(operation, _handler(operation, getattr(self, name), callers))
            for name, operation in self._operations
        ]


def _answer(status: int, told: Any) -> dict[int, Any]:
    """What a handler returns, except responses, by its status."""
    kinds = [kind for kind in (get_args(told) if isinstance(told, UnionType) else (told,)) if not _is_response(kind)]
    return {status: kinds[0] if len(kinds) == 1 else tuple(kinds)} if kinds else {}


def _is_response(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Response)


def _handler(operation: Operation, method: Callable[..., Awaitable[Any]], callers: Mapping[type, Reader]) -> Handler:
    if operation.is_plain:
        # Unchanged: the forms of /validate are among these.
        return method
    readers = [_reader(operation, name, kind, callers) for name, kind in operation.takes.items()]

    async def answer(call: Call) -> Response:
        taken = []
        # One after the other, so that nothing of the request is read for a caller who is not admitted. Not a
        # comprehension, which would be one more coroutine.
        for read in readers:
            taken.append(await read(call) if read else call)  # noqa: PERF401
        told = await method(*taken)
        return told if isinstance(told, Response) else await json_of(told, operation.status)

    return answer


def _reader(operation: Operation, name: str, kind: Any, callers: Mapping[type, Reader]) -> Reader | None:
    """What reads this parameter from a call; None for the call itself."""
    if name == "query":
        return partial(_query, kind)
    if name == "body":
        return partial(_body, operation)
    if kind is PathId:
        return _path_id
    return None if kind is Call else callers[kind]


async def _path_id(call: Call) -> str:
    return call.path_parameters["id"]


async def _query(kind: type, call: Call) -> Any:
    return convert_query(call, kind)


async def _body(operation: Operation, call: Call) -> Any:
    body = await call.body(operation.body_bytes)
    empty = operation.body_optional and not body.strip()
    return operation.body() if empty else await call.decode(body, operation.body)
