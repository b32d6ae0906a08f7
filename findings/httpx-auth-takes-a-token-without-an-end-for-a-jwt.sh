#!/usr/bin/env bash
# httpx_auth 0.23.1 and requests_auth 8.0.0, client credentials. RFC 6749, 5.1 lets a server leave out expires_in, as
# one does whose tokens have no end. Both then take the token apart as a JWT to find its exp, and of an opaque token, as
# 1.4 expects tokens to be, all that the caller sees is "not enough values to unpack": no request leaves, and each try
# fetches one more token that is thrown away. With an hour named the same token is used, and so is a JWT without the
# hour. Authlib 1.9.10 and requests-oauthlib 2.0.0 use the opaque one as it is.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check httpx_auth==0.23.1 httpx==0.28.1 requests_auth==8.0.0 \
  requests==2.34.2 authlib==1.9.10 requests-oauthlib==2.0.0 oauthlib==4.0.1 pyjwt==2.15.1
cat > ask.py <<'PYTHON'
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import httpx_auth
import jwt
import requests
import requests_auth
from authlib.integrations.requests_client import OAuth2Session as Authlib
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session as RequestsOAuthlib

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
a_jwt = jwt.encode({"exp": int(time.time()) + 3600}, "a key of this finding that is long enough")

class Server(BaseHTTPRequestHandler):
    granted = {}
    asked = []

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"token_type": "Bearer", **Server.granted})

    def do_GET(self):
        self.answer({})

    def answer(self, members):
        Server.asked.append(self.path)
        text = json.dumps(members).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
host = f"http://127.0.0.1:{server.server_port}"
token_url, orders = f"{host}/token", f"{host}/orders"

def with_credentials(library, get):
    library.OAuth2.token_cache.clear()
    credentials = library.OAuth2ClientCredentials(token_url, client_id="id", client_secret="secret")
    return lambda: get(orders, auth=credentials)

def with_session(session, **options):
    def get():
        if not session.token:
            session.fetch_token(token_url, **options)
        return session.get(orders)

    return get

ways = {
    "httpx_auth": lambda: with_credentials(httpx_auth, httpx.get),
    "requests_auth": lambda: with_credentials(requests_auth, requests.get),
    "Authlib": lambda: with_session(Authlib("id", "secret"), grant_type="client_credentials"),
    "requests-oauthlib": lambda: with_session(
        RequestsOAuthlib(client=BackendApplicationClient("id")), client_secret="secret"
    ),
}
grants = {
    "opaque for an hour": {"access_token": "opaque", "expires_in": 3600},
    "opaque": {"access_token": "opaque"},
    "a JWT": {"access_token": a_jwt},
}
for name, way in ways.items():
    for kind, granted in grants.items():
        Server.granted, outcomes = granted, []
        get = way()
        Server.asked.clear()
        for _ in range(2):
            try:
                outcomes.append(str(get().status_code))
            except Exception as error:
                outcomes.append(type(error).__name__)
        print(f"{name}, {kind}: {', '.join(outcomes)}; {' '.join(Server.asked)}")
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "httpx_auth, opaque for an hour: 200, 200; /token /orders /orders
httpx_auth, opaque: ValueError, ValueError; /token /token
httpx_auth, a JWT: 200, 200; /token /orders /orders
requests_auth, opaque for an hour: 200, 200; /token /orders /orders
requests_auth, opaque: ValueError, ValueError; /token /token
requests_auth, a JWT: 200, 200; /token /orders /orders
Authlib, opaque for an hour: 200, 200; /token /orders /orders
Authlib, opaque: 200, 200; /token /orders /orders
Authlib, a JWT: 200, 200; /token /orders /orders
requests-oauthlib, opaque for an hour: 200, 200; /token /orders /orders
requests-oauthlib, opaque: 200, 200; /token /orders /orders
requests-oauthlib, a JWT: 200, 200; /token /orders /orders"
