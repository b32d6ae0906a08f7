"""Five operations through the client that openapi-python-client made."""

import sys

from tokens_client import AuthenticatedClient, Client
from tokens_client.api.gateway import validate
from tokens_client.api.managed import create_token, list_tokens, revoke_many_tokens
from tokens_client.api.sessions import create_session
from tokens_client.models import CreateToken, CreateTokenDurationType0, EndTokens, Filter, SignIn

url, password = sys.argv[1:]
session = create_session.sync(client=Client(url), body=SignIn(username="admin", password=password))
admin = AuthenticatedClient(url, session.token)
issued = create_token.sync(
    client=admin,
    body=CreateToken(name="python", duration=CreateTokenDurationType0.VALUE_1, scopes=["orders:read"]),
)
listed = list_tokens.sync(client=admin, status="active", q="python", limit=5)
holder = AuthenticatedClient(url, issued.token.token)
before = validate.sync_detailed(client=holder, required_scope=["orders:read"])
which = Filter(q="python", status="active")
found = revoke_many_tokens.sync(client=admin, body=EndTokens(filter_=which, dry_run=True))
ended = revoke_many_tokens.sync(client=admin, body=EndTokens(filter_=which, expected=found.matched))
after = validate.sync_detailed(client=holder)
print(len(listed.tokens), int(before.status_code), found.matched, len(ended.updated), int(after.status_code))
