#!/usr/bin/env bash
# prometheus-client 0.26.0, choose_encoder(): two valid Accept fields of a scraper are misread.
# 1. version="1.0.0", quoted, which RFC 9110, 5.6.6 makes the same as version=1.0.0: TypeError, a str compared with
#    an int; the exporter answers 500 and the target is down.
# 2. OpenMetrics with q=0, which says "not acceptable" (RFC 9110, 12.4.2): it is answered with OpenMetrics all the same.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0
seen=$("$folder/venv/bin/python" - <<'PYTHON'
from prometheus_client.exposition import choose_encoder

for name, accept in (
    ("plain", "application/openmetrics-text;version=1.0.0"),
    ("quoted", 'application/openmetrics-text;version="1.0.0"'),
    ("refused", "application/openmetrics-text;version=1.0.0;q=0,text/plain;version=0.0.4"),
):
    try:
        print(name, choose_encoder(accept)[1].split(";")[0])
    except TypeError as error:
        print(name, "TypeError:", error)
PYTHON
)
echo "$seen"
test "$seen" = "plain application/openmetrics-text
quoted TypeError: '>=' not supported between instances of 'str' and 'int'
refused application/openmetrics-text"
