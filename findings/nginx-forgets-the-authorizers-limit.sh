#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12), auth_request to a location whose limit_req spares the authorizer: three at once and one a
# minute. Where the location that asks has no limit_req, the fourth client gets 500, not 429. Where it has one, a
# generous one for each client, the authorizer's is not looked at: it is asked for every request, and the log is silent.
# A limit added in front switches off the one behind it, and on the day of the rush the authorizer gets all of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
nginx=nginx=1.22.1-9+deb12u11
{ apt-get download -qq $nginx || { apt-get -qq update && apt-get download -qq $nginx; }; } > /dev/null 2>&1
dpkg -x nginx_*.deb .
cat > nginx.conf <<NGINX
pid $folder/pid; error_log $folder/error.log; daemon off; master_process off; worker_processes 1;
events { }
http {
  log_format authorizer "\$request_uri";
  client_body_temp_path $folder/t1; proxy_temp_path $folder/t2; fastcgi_temp_path $folder/t3;
  uwsgi_temp_path $folder/t4; scgi_temp_path $folder/t5;
  limit_req_zone \$http_authorization zone=client:1m rate=1r/m;
  limit_req_zone \$scheme zone=authorizer:1m rate=1r/m;
  limit_req_status 429;
  server {
    listen unix:$folder/nginx.sock; access_log off;
    location /one/ { auth_request /ask; proxy_pass http://unix:$folder/application.sock; }
    location /two/ {
      limit_req zone=client burst=9 nodelay; auth_request /ask; proxy_pass http://unix:$folder/application.sock;
    }
    location /ask {
      internal; limit_req zone=authorizer burst=2 nodelay; proxy_pass http://unix:$folder/authorizer.sock;
    }
  }
  server { listen unix:$folder/application.sock; access_log off; location / { return 200; } }
  server { listen unix:$folder/authorizer.sock; access_log $folder/asked authorizer; location / { return 204; } }
}
NGINX
for location in one two; do
  rm -f ./*.sock asked error.log
  usr/sbin/nginx -c "$folder/nginx.conf" -e "$folder/error.log" & children=$!
  for name in authorizer application nginx; do
    for _ in $(seq 200); do test -S $name.sock && break; sleep 0.1; done
  done
  statuses=
  for client in 1 2 3 4 5 6; do
    statuses="$statuses $(curl --silent --max-time 10 --unix-socket nginx.sock --output /dev/null \
      --write-out '%{http_code}' --header "Authorization: Bearer $client" "http://localhost/$location/")"
  done
  kill $children && wait $children || true
  children=
  echo "$location limit(s):$statuses, authorizer asked $(wc -l < asked) times," \
    "$(grep -c 'limiting requests' error.log) limited"
done > seen
cat seen
test "$(cat seen)" = "one limit(s): 200 200 200 500 500 500, authorizer asked 3 times, 3 limited
two limit(s): 200 200 200 200 200 200, authorizer asked 6 times, 0 limited"
