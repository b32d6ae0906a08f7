"""Reference: a Starlette route that asks nobody."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def validate(request: Request) -> Response:
    return Response()


app = Starlette(routes=[Route("/validate", validate)])
