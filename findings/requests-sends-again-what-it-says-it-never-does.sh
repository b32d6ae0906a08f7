#!/usr/bin/env bash
# requests 2.34.2 with urllib3 2.8.0: HTTPAdapter(max_retries=...) is for failed connections, by its documentation
# "never" for "requests where data has made it to the server". A GET or DELETE that is answered 429, 503 or 413 is sent
# again all the same where the answer has a Retry-After, and the field is slept out before that, however much longer
# than `timeout` it is: a server that says an hour stops the caller for an hour. Without the field, and with a 500, it
# is sent once.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from requests.adapters import HTTPAdapter

class Limited(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        _, status, *wait = self.path.split("/")
        self.send_response(int(status))
        for seconds in wait:
            self.send_header("Retry-After", seconds)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_POST = do_GET

    def log_message(self, *args):
        pass

asked = []
server = ThreadingHTTPServer(("127.0.0.1", 0), Limited)
threading.Thread(target=server.serve_forever, daemon=True).start()
said = "never to requests where data has made it to the server"
print("it says so:", said in " ".join(HTTPAdapter.__doc__.split()))
for retries in (0, 1):
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retries))
    for method, path in (
        ("GET", "/429"), ("GET", "/429/6"), ("DELETE", "/503/1"),
        ("GET", "/413/1"), ("POST", "/429/1"), ("GET", "/500/1"),
    ):
        asked.clear()
        begin = time.monotonic()
        session.request(method, f"http://127.0.0.1:{server.server_port}{path}", timeout=5)
        slept = ", longer than its time-out" * (time.monotonic() - begin >= 6)
        print(f"max_retries={retries}: {method} {path} sent {len(asked)}{slept}")
PYTHON
)
echo "$seen"
test "$seen" = "it says so: True
max_retries=0: GET /429 sent 1
max_retries=0: GET /429/6 sent 1
max_retries=0: DELETE /503/1 sent 1
max_retries=0: GET /413/1 sent 1
max_retries=0: POST /429/1 sent 1
max_retries=0: GET /500/1 sent 1
max_retries=1: GET /429 sent 1
max_retries=1: GET /429/6 sent 2, longer than its time-out
max_retries=1: DELETE /503/1 sent 2
max_retries=1: GET /413/1 sent 2
max_retries=1: POST /429/1 sent 1
max_retries=1: GET /500/1 sent 1"
