"""What a 200 says of whom a token stands for, as fields and as lines."""

from urllib.parse import quote

import pytest

from service.api.gateway.answers import REQUEST_ID, allowed_headers, allowed_lines, lines_of
from service.model import Credential, Kind, RateLimit

LIMITS = (RateLimit(10, 60), RateLimit(5, 1, name="second"))


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("name", ["billing", "two words", "50 %", "a/b;c", "Zürich", "~_.-", "+", "\t", " "])
def test_a_name_is_encoded_and_lines_say_what_fields_say(kind: Kind, name: str) -> None:
    credential = Credential("00d793a642a9b944", name, ("orders:read", "a:*"), 1, 2, kind=kind, name=name)
    for limits in ((), LIMITS):
        headers = allowed_headers(credential, limits)
        assert allowed_lines(credential, limits) == lines_of(headers) + REQUEST_ID
        said = dict(headers)
        assert said.get(b"x-token-name") == (quote(name, safe="").encode() if kind is Kind.MANAGED else None)
        assert said[b"remote-user"] == said[b"x-auth-request-user"] == said[b"x-token-subject"]
        assert (b"ratelimit-policy" in said) == bool(limits)


@pytest.mark.parametrize("kind", Kind)
def test_nothing_to_say_is_a_dash(kind: Kind) -> None:
    said = dict(allowed_headers(Credential("id", "", (), 0, 0, kind=kind)))
    assert [value for value in said.values() if not value] == []
    assert said[b"x-token-subject"] == said[b"x-token-scopes"] == b"-"
