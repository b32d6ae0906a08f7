"""What the signature of a handler says of its operation, and what it is called with."""

from typing import Any

import msgspec
import pytest
from starlette.responses import Response

from service.api.http.access import ANYONE
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.http.problems import Pending
from service.errors import InvalidRequest, Unauthorized


class Page(msgspec.Struct):
    limit: int = 3


class Change(msgspec.Struct):
    name: str = "none"


class Told(msgspec.Struct):
    said: str


class Person(msgspec.Struct):
    name: str


class Things(OperationGroup, tag="things"):
    @Operation("POST", "/things", ANYONE, "change", status=201, body_optional=True, pending=True, problems=(409,))
    async def change(self, caller: Person, query: Page, body: Change) -> Told | Person | Response:
        """Change a thing.

        At once.
        """
        return Told(f"{caller.name}, {query.limit}, {body.name}")

    @Operation("GET", "/things", ANYONE, "show", answers={200: str})
    @Operation("GET", "/all-things", ANYONE, "showAll", answers={200: str}, summary="The same")
    async def show(self, call: Call) -> Response:
        """Show it."""
        return Response(call.scope["path"])


def call(body: bytes = b"", query: bytes = b"") -> Call:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    scope = {"method": "POST", "path": "/things", "query_string": query, "headers": []}
    return Call(scope, receive, {}, "id", "192.0.2.7")


async def ada(_: Call) -> Person:
    return Person("ada")


async def nobody(_: Call) -> Person:
    raise Unauthorized("Send a token.", presented=False)


def test_a_signature_tells_what_goes_in_and_out() -> None:
    operation = Things().endpoints({Person: ada})[0].operation
    assert (operation.summary, operation.description) == ("Change a thing", "At once.")
    assert (operation.query, operation.body) == (Page, Change)
    assert operation.answers == {201: (Told, Person), 202: Pending, 409: None}
    assert operation.tag == "things"


def test_a_handler_of_the_call_alone_is_the_endpoint_itself() -> None:
    things = Things()
    assert things.endpoints({Person: ada})[1].handler == things.show


async def test_a_handler_gets_what_it_names() -> None:
    handler = Things().endpoints({Person: ada})[0].handler
    answered = await handler(call(b'{"name": "orders"}', b"limit=7"))
    assert (answered.status_code, answered.body) == (201, b'{"said":"ada, 7, orders"}')
    assert (await handler(call(b" \n"))).body == b'{"said":"ada, 3, none"}'


async def test_what_a_stranger_sends_is_not_read() -> None:
    with pytest.raises(Unauthorized):
        await Things().endpoints({Person: nobody})[0].handler(call(b"{", b"limit=x"))
    with pytest.raises(InvalidRequest, match="limit"):
        await Things().endpoints({Person: ada})[0].handler(call(b"{", b"limit=x"))


def test_a_group_whose_callers_nobody_finds_does_not_start() -> None:
    with pytest.raises(KeyError):
        Things().endpoints({})


def test_operations_are_listed_as_they_are_written() -> None:
    endpoints = Things().endpoints({Person: ada})
    assert [endpoint.operation.name for endpoint in endpoints] == ["change", "show", "showAll"]
