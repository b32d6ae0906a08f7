#!/usr/bin/env bash
# prom-client 15.1.3 and the Pushgateway 1.5.1 of Debian 12: the client writes the slashes in a grouping's value as %2F,
# the gateway splits the path after it has decoded it. A batch grouped by route: "v1/tokens/rotate" is answered 200 and
# stored under route="v1", tokens="rotate"; "v1/tokens" is refused, for its parts are odd in number. An empty value
# before another one is a redirection, which the client's promise fulfils: nothing is stored and nothing is said.
# prometheus-client 0.26.0 for Python sends the same values in the gateway's base64 form, and they arrive whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $gateway 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
gateway=
cd "$folder"
debian=prometheus-pushgateway=1.5.1-2+b5
{ apt-get download -qq $debian || { apt-get -qq update && apt-get download -qq $debian; }; } > /dev/null 2>&1
dpkg -x prometheus-pushgateway_*.deb .
npm install --silent --no-audit --no-fund prom-client@15.1.3 > /dev/null 2>&1
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check prometheus-client==0.26.0
usr/bin/prometheus-pushgateway --web.listen-address=127.0.0.1:0 2> gateway.log & gateway=$!
for _ in $(seq 100); do grep -qs "Listening on" gateway.log && break; sleep 0.1; done
address=$(sed -n 's/.*msg="Listening on" address=//p' gateway.log)
cat > push.mjs <<'JS'
import { Gauge, Pushgateway, Registry } from "prom-client";

const [, , address, ...pushed] = process.argv;
for (const groupings of pushed.map((one) => JSON.parse(one))) {
  const registry = new Registry();
  new Gauge({ name: "from_node", help: "Rows.", registers: [registry] }).set(1);
  const gateway = new Pushgateway(`http://${address}`, {}, registry);
  await gateway.push({ jobName: "nightly", groupings }).then(
    ({ resp }) => console.log("prom-client", JSON.stringify(groupings), "fulfilled with", resp.statusCode),
    (error) => console.log("prom-client", JSON.stringify(groupings), "rejected:", error.message.split(",")[0]),
  );
}
JS
cat > push.py <<'PYTHON'
import json
import sys

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

address, *pushed = sys.argv[1:]
for grouping in pushed:
    registry = CollectorRegistry()
    Gauge("from_python", "Rows.", registry=registry).set(1)
    push_to_gateway(address, "nightly", registry, json.loads(grouping))
PYTHON
pushed=('{"route":"v1/tokens/rotate"}' '{"route":"v1/tokens"}' '{"route":"","team":"billing"}')
seen=$(
  node push.mjs "$address" "${pushed[@]}"
  venv/bin/python push.py "$address" "${pushed[@]}"
  curl --silent --show-error "http://$address/metrics" |
    sed -n '/^from_/ { s/instance="",job="nightly",//; p }' | LC_ALL=C sort
)
echo "$seen"
test "$seen" = 'prom-client {"route":"v1/tokens/rotate"} fulfilled with 200
prom-client {"route":"v1/tokens"} rejected: push failed with status 400
prom-client {"route":"","team":"billing"} fulfilled with 301
from_node{route="v1",tokens="rotate"} 1
from_python{route="",team="billing"} 1
from_python{route="v1/tokens"} 1
from_python{route="v1/tokens/rotate"} 1'
