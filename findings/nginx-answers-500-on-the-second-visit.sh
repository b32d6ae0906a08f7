#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12) with auth_request, authorizer and application both Express 5.3.0 that send "OK": Express
# gives equal bodies equal ETags, nginx hands the client's If-None-Match to the authorizer too, and its 304 is to nginx
# an unexpected status. The first visit is 200; every revalidation, which a browser makes of its own accord, is 500.
# Authelia's list had that status in 2019, closed as not to be reproduced.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
nginx=nginx=1.22.1-9+deb12u11
{ apt-get download -qq $nginx || { apt-get -qq update && apt-get download -qq $nginx; }; } > /dev/null 2>&1
dpkg -x nginx_*.deb .
npm install --silent --no-audit --no-fund express@5.3.0 > /dev/null 2>&1
cat > servers.mjs <<'JS'
import express from "express";

for (const name of ["authorizer", "application"]) {
  const app = express();
  app.get("/{*path}", (request, response) => response.send("OK"));
  app.listen(`${name}.sock`);
}
JS
node servers.mjs & children="$children $!"
cat > nginx.conf <<NGINX
pid $folder/pid; error_log $folder/error.log; daemon off; master_process off; worker_processes 1;
events { }
http {
  access_log off;
  client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
  uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
  server {
    listen unix:$folder/nginx.sock;
    location / { auth_request /ask; proxy_pass http://unix:$folder/application.sock; }
    location /ask {
      internal;
      proxy_pass http://unix:$folder/authorizer.sock; proxy_pass_request_body off; proxy_set_header Content-Length "";
    }
  }
}
NGINX
usr/sbin/nginx -c "$folder/nginx.conf" -e "$folder/error.log" & children="$children $!"
for name in authorizer application nginx; do
  for _ in $(seq 200); do test -S $name.sock && break; sleep 0.1; done
done
for visit in first second; do
  echo "$visit visit: $(curl --silent --max-time 10 --unix-socket nginx.sock --output /dev/null \
    --write-out '%{http_code}' --etag-save etag --etag-compare etag http://localhost/status)"
done > seen
grep -o "auth request unexpected status: 304" error.log >> seen || true
cat seen
test "$(cat seen)" = "first visit: 200
second visit: 500
auth request unexpected status: 304"
