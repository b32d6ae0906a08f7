"""The interactive API reference at /docs: Swagger UI, vendored, over our own /openapi.json."""

import gzip
from functools import cache
from importlib.resources import files

from starlette.responses import Response

from service.api.http.access import ANYONE
from service.api.http.call import Call
from service.api.http.operation import Operation, OperationGroup
from service.api.pages.files import static_file

# Swagger UI draws its icons from data: URLs, and does not work under Trusted Types.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FILES = {
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", b"text/javascript; charset=utf-8"),
    "/docs/swagger-ui-bundle.js": ("swagger-ui-bundle.js.gz", b"text/javascript; charset=utf-8"),
    "/docs/swagger-ui.css": ("swagger-ui.css.gz", b"text/css; charset=utf-8"),
}


class DocsApi(OperationGroup):
    """Serves the reference's four files; the large ones are stored compressed in the package."""

    @Operation("GET", "/docs", ANYONE, hidden=True)
    @Operation("GET", "/docs/docs.js", ANYONE, hidden=True)
    @Operation("GET", "/docs/swagger-ui-bundle.js", ANYONE, hidden=True)
    @Operation("GET", "/docs/swagger-ui.css", ANYONE, hidden=True)
    async def file(self, call: Call) -> Response:
        """A file of the API reference."""
        name, media_type = _FILES[call.scope["path"]]
        # These addresses have no checksum, so the next build has the same ones.
        headers = ((b"cache-control", b"no-cache"), (b"content-security-policy", _POLICY))
        return static_file(call, _packed(name), media_type, *headers)


@cache
def _packed(name: str) -> bytes:
    """A compressed file, shared by all who read it, however slowly."""
    body = files("service").joinpath("docs", name).read_bytes()
    return body if name.endswith(".gz") else gzip.compress(body)
