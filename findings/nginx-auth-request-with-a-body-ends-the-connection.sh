#!/usr/bin/env bash
# nginx 1.22.1, as Debian 12 ships it: `auth_request` to an upstream with `keepalive`. Where the authorizer's 200 has a
# body of two bytes, nginx opens a connection to it for every request; where the 200 is empty, one serves them all.
# The subrequest reads no body, so what is left unread makes the connection unfit to be kept.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
fetch="apt-get download -qq nginx=1.22.1-9+deb12u11"
{ $fetch || { apt-get -qq update && $fetch; }; } > /dev/null 2>&1
dpkg -x nginx_*.deb . && mkdir site
echo page > site/index.html
cat > authorizer.py <<'PYTHON'
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Authorizer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self):
        super().setup()
        Authorizer.connections += 1

    def do_GET(self):
        body = b"%d" % self.connections if self.path == "/count" else b"ok" if self.path == "/body" else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = ThreadingHTTPServer(("127.0.0.1", 0), Authorizer)
open("authorizer.port", "w").write(str(server.server_port))
server.serve_forever()
PYTHON
python3 authorizer.py 2> /dev/null & children="$children $!"
until test -s authorizer.port; do sleep 0.1; done
port=$(cat authorizer.port)
cat > nginx.conf <<NGINX
pid $folder/pid; error_log $folder/error.log; daemon off; master_process off; worker_processes 1;
events { }
http {
  access_log off;
  client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
  uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
  upstream authorizer { server 127.0.0.1:$port; keepalive 4; }
  server {
    listen unix:$folder/nginx.sock;
    root $folder/site;
    location /with-body/ { alias $folder/site/; auth_request /ask/body; }
    location /empty/ { alias $folder/site/; auth_request /ask/empty; }
    location /ask/ {
      internal;
      proxy_pass http://authorizer/; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
    }
  }
}
NGINX
usr/sbin/nginx -c "$folder/nginx.conf" -e "$folder/error.log" & children="$children $!"
for _ in $(seq 100); do test -S nginx.sock && break; sleep 0.1; done
count() { curl --silent "http://127.0.0.1:$port/count"; }
for kind in with-body empty; do
  before=$(count)
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    curl --silent --fail --output /dev/null --unix-socket nginx.sock "http://localhost/$kind/index.html"
  done
  # The second count is a connection of its own.
  echo "$kind: $(($(count) - before - 1)) connections for 10 requests"
done | tee seen
test "$(cat seen)" = "with-body: 10 connections for 10 requests
empty: 1 connections for 10 requests"
