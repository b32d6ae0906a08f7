#!/usr/bin/env bash
# Authlib 1.9.10, over requests and over httpx: a token endpoint's refusal is one to it if the body has a member `error`
# or the status is 500 and more. A 429 of the gateway before it, a problem document of RFC 9457, is taken for the new
# token: update_token() gets it to store in place of the old one, and as it names no expiry the session never refreshes
# again. The call fails for want of a token_type, and so does every later one, long after the limit has passed. A change
# that raises for every status from 400 on was turned down in 2026. requests-oauthlib 2.0.0 raises, keeps the token that
# it has, and is served by the next call.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check authlib==1.9.10 requests==2.34.2 httpx2==2.16.2 \
  requests-oauthlib==2.0.0 oauthlib==4.0.1
cat > ask.py <<'PYTHON'
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from authlib.integrations.httpx_client import OAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from requests_oauthlib import OAuth2Session as RequestsOAuthlib

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
refused = json.dumps({"type": "about:blank", "title": "Too Many Requests", "status": 429})
granted = json.dumps({"access_token": "new", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "second"})

class Gateway(BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Gateway.asked += 1
        self.answer(*((429, "problem+json", refused) if Gateway.asked == 1 else (200, "json", granted)))

    def do_GET(self):
        self.answer(200, "json", "{}")

    def answer(self, status, kind, text):
        self.send_response(status)
        self.send_header("Content-Type", f"application/{kind}")
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments):
        pass

gateway = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=gateway.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{gateway.server_port}"
stored = []

def tell(name, act):
    try:
        print(f"  {name}: {act()}")
    except Exception as error:
        print(f"  {name}: {type(error).__name__}")

for kind in (OAuth2Session, OAuth2Client, RequestsOAuthlib):
    Gateway.asked = 0
    stored.clear()
    token = {"access_token": "old", "token_type": "Bearer", "refresh_token": "first", "expires_at": 1}
    if kind is RequestsOAuthlib:
        renewal = {"auto_refresh_url": f"{address}/token", "token_updater": lambda token: stored.append(dict(token))}
    else:
        renewal = {
            "token_endpoint": f"{address}/token",
            "update_token": lambda token, **old: stored.append(dict(token)),
        }
    session = kind("client", token=token, **renewal)
    print(f"{kind.__module__.split('.')[0]}, {'httpx' if 'httpx' in kind.__module__ else 'requests'}")
    tell("a call", lambda: session.get(f"{address}/orders").status_code)
    tell("stored", lambda: [sorted(token) for token in stored])
    tell("a call after the limit", lambda: session.get(f"{address}/orders").status_code)
    tell("token requests", lambda: Gateway.asked)
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "authlib, requests
  a call: UnsupportedTokenTypeError
  stored: [['refresh_token', 'status', 'title', 'type']]
  a call after the limit: UnsupportedTokenTypeError
  token requests: 1
authlib, httpx
  a call: UnsupportedTokenTypeError
  stored: [['refresh_token', 'status', 'title', 'type']]
  a call after the limit: UnsupportedTokenTypeError
  token requests: 1
requests_oauthlib, requests
  a call: MissingTokenError
  stored: []
  a call after the limit: 200
  token requests: 2"
