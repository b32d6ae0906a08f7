#!/usr/bin/env bash
# prometheus-client 0.26.0, OpenMetrics: its parser reads an exemplar's label with two double quotes in its value and
# refuses it with one or three, though its own writer has escaped them as the format asks; the same values in a label
# of the metric are read. An ETag cut to fit into the 128 characters of an exemplar is enough, and the whole answer is
# gone, not the exemplar. prom-client 15.1.3 writes the same lines: what reads a Node service in Python meets it too.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check prometheus-client==0.26.0
npm install --silent --no-audit --no-fund prom-client@15.1.3 > /dev/null 2>&1
cat > write.mjs <<'JS'
import { Counter, Registry } from "prom-client";

const [, , label, exemplar] = process.argv;
const registry = new Registry(Registry.OPENMETRICS_CONTENT_TYPE);
const options = { name: "issued", help: "Tokens.", labelNames: ["etag"], registers: [registry], enableExemplars: true };
new Counter(options).inc({ labels: { etag: label }, value: 1, exemplarLabels: { etag: exemplar } });
process.stdout.write(await registry.metrics());
JS
cat > ask.py <<'PYTHON'
import subprocess

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

def in_python(label, exemplar):
    registry = CollectorRegistry()
    Counter("issued", "Tokens.", ["etag"], registry=registry).labels(label).inc(1, {"etag": exemplar})
    return generate_latest(registry).decode()

def in_node(label, exemplar):
    return subprocess.run(["node", "write.mjs", label, exemplar], capture_output=True, text=True, check=True).stdout

def read(text):
    (family,) = text_string_to_metric_families(text)
    return family.samples[0].labels["etag"], family.samples[0].exemplar.labels["etag"]

for writer, write in (("prometheus-client", in_python), ("prom-client", in_node)):
    for values in (('W/"8e', "-"), ("-", 'W/"8e"'), ("-", 'W/"8e')):
        text = write(*values)
        (line,) = (line for line in text.splitlines() if line.startswith("issued_total"))
        try:
            answer = "read whole" if read(text) == values else "misread"
        except ValueError as error:
            answer = "refused: " + str(error).split(":")[0]
        print(f"{writer}: {line.rsplit(maxsplit=2)[0]} ... {answer}")
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = 'prometheus-client: issued_total{etag="W/\"8e"} 1.0 # {etag="-"} ... read whole
prometheus-client: issued_total{etag="-"} 1.0 # {etag="W/\"8e\""} ... read whole
prometheus-client: issued_total{etag="-"} 1.0 # {etag="W/\"8e"} ... refused: Invalid line
prom-client: issued_total{etag="W/\"8e"} 1 # {etag="-"} ... read whole
prom-client: issued_total{etag="-"} 1 # {etag="W/\"8e\""} ... read whole
prom-client: issued_total{etag="-"} 1 # {etag="W/\"8e"} ... refused: Invalid line'
