#!/usr/bin/env bash
# Authlib 1.9.10 and oauthlib 4.0.1 (under requests-oauthlib): a token answer with "expires_in": 0, as a server gives
# that hands out a shared token and counts what is left of it, is read as a token without an end. RFC 6749, 5.1 counts
# the lifetime from the answer on, and has it left out where it is told in another way. With 1 both take it for expired
# a second later; with 0 neither ever does, nothing is refreshed, and the client collects 401s.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check authlib==1.9.10 oauthlib==4.0.1
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import json
import time

from authlib.oauth2.rfc6749 import OAuth2Token
from oauthlib.oauth2 import BackendApplicationClient, TokenExpiredError

def in_oauthlib(client):
    try:
        client.add_token("https://api.example/", headers={})
    except TokenExpiredError:
        return "expired"
    return "in use"

for seconds in (1, 0):
    answer = {"access_token": "t", "token_type": "Bearer", "expires_in": seconds}
    client = BackendApplicationClient("id")
    client.parse_request_body_response(json.dumps(answer))
    token = OAuth2Token(dict(answer))
    time.sleep(seconds + 1.5)
    print(f"expires_in {seconds}, past its time: oauthlib {in_oauthlib(client)},",
          f"Authlib {'expired' if token.is_expired(leeway=0) else 'in use'}")
PYTHON
)
echo "$seen"
test "$seen" = "expires_in 1, past its time: oauthlib expired, Authlib expired
expires_in 0, past its time: oauthlib in use, Authlib in use"
