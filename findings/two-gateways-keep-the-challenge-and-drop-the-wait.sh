#!/usr/bin/env bash
# nginx 1.22.1 (proxy_intercept_errors with error_page) and Apache 2.4.71 (ProxyErrorOverride), both as in Debian 12:
# with an error page of their own the application's 401 keeps its WWW-Authenticate and its 429 loses Retry-After and
# RateLimit. Without the page all of them arrive. Whoever gives the gateway pages of its own, with the status kept, has
# clients that can still log in and no longer know when to come back.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
debian="nginx=1.22.1-9+deb12u11 apache2-bin=2.4.71-1~deb12u1 libapr1=1.7.2-3+deb12u1 libaprutil1=1.6.3-1+deb12u1"
{ apt-get download -qq $debian || { apt-get -qq update && apt-get download -qq $debian; }; } > /dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
cat > application.py <<'PYTHON'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Application(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("WWW-Authenticate", 'Bearer realm="orders"')
        self.send_header("RateLimit", '"hour";r=0;t=60')
        self.send_header("Retry-After", "60")
        self.send_header("Content-Length", "0")
        self.end_headers()

server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
python3 application.py > port 2> /dev/null & children="$children $!"
until test -s port; do sleep 0.1; done
application=http://127.0.0.1:$(cat port)
mkdir pages && echo "A page of the gateway." > pages/error.html
cat > nginx.conf <<NGINX
pid $folder/nginx.pid; error_log $folder/nginx.log; daemon off; master_process off; worker_processes 1;
events { }
http {
  access_log off;
  client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
  uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
  server {
    listen unix:$folder/nginx.sock;
    location /passed/ { proxy_pass $application; }
    location /paged/ { proxy_pass $application; proxy_intercept_errors on; error_page 401 429 /error.html; }
    location = /error.html { internal; root $folder/pages; }
  }
}
NGINX
usr/sbin/nginx -c "$folder/nginx.conf" -e "$folder/nginx.log" & children="$children $!"
modules=usr/lib/apache2/modules
cat > apache.conf <<APACHE
ServerRoot $folder
ServerName gateway.example
PidFile apache.pid
ErrorLog apache.log
DefaultRuntimeDir $folder
DocumentRoot $folder/pages
Listen 127.0.0.1:\${PORT}
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_http_module $modules/mod_proxy_http.so
<Location /passed/>
  ProxyPass $application/
</Location>
<Location /paged/>
  ProxyPass $application/
  ProxyErrorOverride On
</Location>
ErrorDocument 401 /error.html
ErrorDocument 429 /error.html
APACHE
export LD_LIBRARY_PATH=$folder/usr/lib/$(uname -m)-linux-gnu
for _ in $(seq 20); do
  PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  export PORT
  usr/sbin/apache2 -f "$folder/apache.conf" -D FOREGROUND & apache=$!
  for _ in $(seq 100); do test -s apache.pid && break 2; kill -0 $apache 2> /dev/null || break; sleep 0.1; done
done
children="$children $apache"
unset LD_LIBRARY_PATH
for _ in $(seq 100); do curl --silent --output page "http://127.0.0.1:$PORT/passed/401" && break; sleep 0.1; done
for _ in $(seq 200); do test -S nginx.sock && break; sleep 0.1; done
fields() {
  curl --silent --max-time 10 --dump-header - --output /dev/null "$@" | tr -d '\r' |
    sed -n 's/^\(WWW-Authenticate\|RateLimit\|Retry-After\): .*/\1/p; s/^HTTP[^ ]* \([0-9]*\).*/\1/p' |
    LC_ALL=C sort | paste -sd ' '
}
for path in passed/401 paged/401 passed/429 paged/429; do
  echo "nginx $path: $(fields --unix-socket nginx.sock "http://gateway.example/$path")"
  echo "Apache $path: $(fields "http://127.0.0.1:$PORT/$path")"
done > seen
cat seen
every="RateLimit Retry-After WWW-Authenticate"
test "$(cat seen)" = "nginx passed/401: 401 $every
Apache passed/401: 401 $every
nginx paged/401: 401 WWW-Authenticate
Apache paged/401: 401 WWW-Authenticate
nginx passed/429: 429 $every
Apache passed/429: 429 $every
nginx paged/429: 429
Apache paged/429: 429"
