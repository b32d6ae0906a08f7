"""Which secrets a request presents: in its header fields, or in the URI that a gateway's client asked for."""

from urllib.parse import parse_qs

from service.api.http.basic import tokens_in
from service.api.http.call import Headers


def presented(headers: Headers, *, in_uri: bool = False, basic: bool = False) -> list[bytes]:
    """The different secrets a request presents: Authorization: Bearer, X-API-Key, X-Token; an empty one is none.

    `basic` takes that scheme, too; one that is not taken presents nothing (RFC 6750, 3.1). `in_uri` adds the secrets in
    the URI that the gateway's client asked for: whoever wrote that line, the secret in it is all that counts. Two
    Authorization fields are two secrets whatever they hold.
    """
    fields = [value for name, value in headers if name == b"authorization"]
    if len(fields) > 1:
        return fields
    secrets = [secret for value in fields for secret in _in_authorization(value, basic=basic)]
    secrets += [value.strip() for name, value in headers if name in (b"x-api-key", b"x-token")]
    if in_uri:
        secrets += _in_original_uri(headers)
    return [secret for secret in dict.fromkeys(secrets) if secret]


def _in_authorization(value: bytes, *, basic: bool) -> list[bytes]:
    if value[:6].lower() == b"bearer" and value[6:7] in (b" ", b""):
        return [value[7:].strip()]
    return tokens_in(value) if basic else []


def _in_original_uri(headers: Headers) -> list[bytes]:
    """The `token` parameters of the URI that the gateway's client asked for."""
    tokens: list[str] = []
    for name, value in headers:
        if name in (b"x-original-uri", b"x-forwarded-uri"):
            # Not urlsplit: it raises for a host that is none, and the client writes this line.
            query = value.partition(b"?")[2].partition(b"#")[0]
            # Most clients' addresses hold none, and to read one in pieces takes longer than all else.
            if b"token" not in query and b"%" not in query:
                continue
            tokens += parse_qs(query.decode("latin-1")).get("token", [])
    return [token.encode("latin-1", "replace") for token in tokens]
