#!/usr/bin/env bash
# prom-client 15.1.3, a registry of the OpenMetrics type, which exemplars need. 1. To look at it changes it: the first
# metrics() takes _total off the counter itself, and getMetricsAsJSON(), which the aggregation of a cluster reads, has
# revoked_total before the first scrape and revoked after it. 2. A counter made as `issued` is on the page as
# issued_total, as the format has it, and under the other type as issued: exemplars for one histogram end the series of
# every such counter, and rate() over the old names is empty.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund prom-client@15.1.3 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import client from "prom-client";

for (const type of ["PROMETHEUS_CONTENT_TYPE", "OPENMETRICS_CONTENT_TYPE"]) {
  const registry = new client.Registry(client.Registry[type]);
  for (const name of ["issued", "revoked_total"]) {
    new client.Counter({ name, help: "Of this finding.", registers: [registry] }).inc();
  }
  const json = async () => (await registry.getMetricsAsJSON()).map((metric) => metric.name).join(" ");
  const before = await json();
  const samples = (await registry.metrics()).split("\n").filter((line) => line && !line.startsWith("#"));
  console.log(`${type.split("_")[0]}: text ${samples.map((line) => line.split(" ")[0]).join(" ")};`,
    `JSON before ${before}, after ${await json()}`);
}
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "PROMETHEUS: text issued revoked_total; JSON before issued revoked_total, after issued revoked_total
OPENMETRICS: text issued_total revoked_total; JSON before issued revoked_total, after issued revoked"
