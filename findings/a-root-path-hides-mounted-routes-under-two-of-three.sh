#!/usr/bin/env bash
# A gateway takes /api off the path. Behind it one Starlette 1.10.0 application under uvicorn 0.54.0, Hypercorn 0.18.0
# and Daphne 4.2.3, each told --root-path /api. uvicorn puts the prefix back in front of scope["path"], the other two
# leave the path as it came. Starlette finds /tokens either way, so all looks well; the same route in a Mount,
# /v1/tokens, is 404 under the two: the mount makes the root path /api/v1, with which a path without /api does not
# begin. Behind a gateway that leaves the prefix on, it is the other way round: uvicorn finds neither and the two find
# both. And request.url, which a proof of possession or a signed URL is held against, has the prefix under uvicorn
# alone, while url_for() of that same route has it under all three.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check starlette==1.10.0 uvicorn==0.54.0 \
  hypercorn==0.18.0 daphne==4.2.3
cat > application.py <<'PYTHON'
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

def tokens(request):
    return PlainTextResponse(f"{request.url} {request.url_for('tokens')}")

app = Starlette(routes=[Route("/tokens", tokens), Mount("/v1", routes=[Route("/tokens", tokens)])])
PYTHON
cat > ask.py <<'PYTHON'
import http.client
import os
import signal
import socket
import subprocess
import time

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]

def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={"Host": "api.example"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text

def wait_for(port):
    for _ in range(600):
        try:
            return ask(port, "/")
        except OSError:
            time.sleep(0.1)
    raise TimeoutError

commands = {
    "uvicorn": "venv/bin/uvicorn application:app --port {}",
    "Hypercorn": "venv/bin/hypercorn application:app --bind 127.0.0.1:{}",
    "Daphne": "venv/bin/daphne application:app -b 127.0.0.1 -p {}",
}
for name, command in commands.items():
    port = free_port()
    arguments = [*command.format(port).split(), "--root-path", "/api"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(arguments, start_new_session=True, **quiet)
    try:
        wait_for(port)
        paths = ("/tokens", "/v1/tokens", "/api/tokens", "/api/v1/tokens")
        print(name, *(f"{path} {ask(port, path)[0]}" for path in paths), sep=", ")
        print("    url and url_for:", ask(port, "/tokens")[1])
    finally:
        # Hypercorn has its worker in a process of its own.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "uvicorn, /tokens 200, /v1/tokens 200, /api/tokens 404, /api/v1/tokens 404
    url and url_for: http://api.example/api/tokens http://api.example/api/tokens
Hypercorn, /tokens 200, /v1/tokens 404, /api/tokens 200, /api/v1/tokens 200
    url and url_for: http://api.example/tokens http://api.example/api/tokens
Daphne, /tokens 200, /v1/tokens 404, /api/tokens 200, /api/v1/tokens 200
    url and url_for: http://api.example/tokens http://api.example/api/tokens"
