"""A file of the package as an answer."""

import gzip

from starlette.responses import Response

from service.api.http.call import Call


def static_file(call: Call, packed: bytes, media_type: bytes, *headers: tuple[bytes, bytes]) -> Response:
    """A compressed file, unpacked for the rare client that does not take gzip."""
    takes_gzip = "gzip" in call.text_header(b"accept-encoding")
    response = Response(status_code=200)
    response.body = packed if takes_gzip else gzip.decompress(packed)
    response.raw_headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(response.body)),
        (b"vary", b"accept-encoding"),
        *([(b"content-encoding", b"gzip")] if takes_gzip else []),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        *headers,
    ]
    return response
