#!/usr/bin/env bash
# cloudevents 2.2.0 for Python as a relay: it takes an event in structured mode and passes it on in binary mode, two
# forms of one event by the HTTP binding of CloudEvents 1.0.2, 3.1 and 3.2. Data that is an object comes out as it was.
# An array, which is a JSON value as much (JSON format, 3.1), comes out as Python prints it, ['tok_1', 'tok_2'], under
# the application/json that it came with: the package reads an array and its annotations know of none. cloudevents
# 10.0.0 for Node raises; the Python package itself reads a text and says nothing, so a loop over the two revoked tokens
# is one over 18 characters. An array of numbers looks the same in both languages and comes through, and the older
# interface of the same package, cloudevents.v1, writes JSON: whoever moved to the new one and tests with numbers for
# ids, or with objects, sees nothing.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check cloudevents==2.2.0
npm install --silent --no-audit --no-fund cloudevents@10.0.0 > /dev/null 2>&1
cat > write.mjs <<'JS'
import { CloudEvent, HTTP } from "cloudevents";

const named = { id: "1", source: "/tokens", type: "tokens.revoked", datacontenttype: "application/json" };
for (const data of [{ ids: ["tok_1", "tok_2"] }, [1, 2], ["tok_1", "tok_2"]]) {
  console.log(JSON.stringify(HTTP.structured(new CloudEvent({ ...named, data }))));
}
JS
cat > read.mjs <<'JS'
import { HTTP } from "cloudevents";

let said;
try {
  said = JSON.stringify(HTTP.toEvent(JSON.parse(process.argv[2])).data);
} catch (error) {
  said = error.name;
}
console.log(said);
JS
cat > relay.py <<'PYTHON'
import json
import subprocess
import warnings

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, to_binary_event
from cloudevents.v1.conversion import to_binary
from cloudevents.v1.http import from_http

warnings.simplefilter("ignore")

def node(*command):
    return subprocess.run(["node", *command], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()

for line in node("write.mjs"):
    sent = json.loads(line)
    headers, body = sent["headers"], sent["body"].encode()
    print(json.dumps(json.loads(body)["data"]))
    passed = to_binary_event(from_http_event(HTTPMessage(headers, body)))
    v1_headers, v1_body = to_binary(from_http(headers, body))
    for name, fields, text in ("core", passed.headers, passed.body), ("v1", v1_headers, v1_body):
        [read] = node("read.mjs", json.dumps({"headers": fields, "body": text.decode()}))
        data = from_http_event(HTTPMessage(fields, text)).get_data()
        kind = f"{type(data).__name__} of {len(data)}"
        print(f"  {name}: {fields['content-type']} {text.decode()}, Node {read}, Python {kind}")
PYTHON
seen=$(venv/bin/python relay.py)
echo "$seen"
test "$seen" = '{"ids": ["tok_1", "tok_2"]}
  core: application/json {"ids": ["tok_1", "tok_2"]}, Node {"ids":["tok_1","tok_2"]}, Python dict of 1
  v1: application/json {"ids": ["tok_1", "tok_2"]}, Node {"ids":["tok_1","tok_2"]}, Python dict of 1
[1, 2]
  core: application/json [1, 2], Node [1,2], Python list of 2
  v1: application/json [1, 2], Node [1,2], Python list of 2
["tok_1", "tok_2"]
  core: application/json '"['tok_1', 'tok_2']"', Node SyntaxError, Python str of 18
  v1: application/json ["tok_1", "tok_2"], Node ["tok_1","tok_2"], Python list of 2'
