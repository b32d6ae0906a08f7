#!/usr/bin/env bash
# Authlib 1.9.10 and requests-oauthlib 2.0.0: both take the body of a token request as text and turn it into a dict
# before they send it. RFC 8707 has a client name two APIs as resource=...&resource=...; the first is gone from the
# request, the server answers 200 with a token for the second alone, and the first API's 401 is where it shows.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  authlib==1.9.10 requests-oauthlib==2.0.0 oauthlib==4.0.1 requests==2.34.2
seen=$(OAUTHLIB_INSECURE_TRANSPORT=1 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

from authlib.integrations.requests_client import OAuth2Session as Authlib
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

class TokenEndpoint(BaseHTTPRequestHandler):
    def do_POST(self):
        asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["resource"])
        body = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 60}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

asked = []
server = HTTPServer(("127.0.0.1", 0), TokenEndpoint)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/token"
body = "resource=https://orders.example&resource=https://stock.example"
Authlib("id", "secret").fetch_token(url, body=body, grant_type="client_credentials")
OAuth2Session(client=BackendApplicationClient("id")).fetch_token(url, body=body, client_secret="secret")
for name, resources in zip(("Authlib", "requests-oauthlib"), asked):
    print(f"{name} asks for", *resources)
PYTHON
)
echo "$seen"
test "$seen" = "Authlib asks for https://stock.example
requests-oauthlib asks for https://stock.example"
