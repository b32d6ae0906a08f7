#!/usr/bin/env bash
# structured-headers 2.1.0 for Node writes a decimal with three digits behind the point and takes the zeros off its
# end, the last one too: seconds left of 59.9997 go out as left=60. with nothing behind the point, which RFC 9651,
# 4.2.4 has every recipient refuse, and with it all else in the field. The library's own parser refuses it, and so do
# structured-field-values 2.0.4 for Node and http-sf 1.5.0 for Python; what these two write of the same numbers all
# three read. An exact 60 is an integer and goes well, and so does 59.9994, so the field is gone for one value in a
# thousand.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check http-sf==1.5.0
npm install --silent --no-audit --no-fund structured-headers@2.1.0 structured-field-values@2.0.4 > /dev/null 2>&1
cat > write.mjs <<'NODE'
import { parseDictionary, serializeDictionary } from "structured-headers";
import { decodeDict, encodeDict } from "structured-field-values";

const read = (parse, field) => {
  try {
    parse(field);
    return "read";
  } catch {
    return "refused";
  }
};
const writers = { "structured-headers": serializeDictionary, "structured-field-values": encodeDict };
const lines = [];
for (const left of [60, 59.9994, 59.9997, 0.0004]) {
  const members = { limit: 100, left };
  for (const [writer, write] of Object.entries(writers)) {
    const field = write(members);
    lines.push({
      left,
      writer,
      field,
      readers: {
        "structured-headers": read(parseDictionary, field),
        "structured-field-values": read(decodeDict, field),
      },
    });
  }
}
console.log(JSON.stringify(lines));
NODE
cat > read.py <<'PYTHON'
import json
import subprocess

import http_sf

def read(field):
    try:
        http_sf.parse(field.encode(), tltype="dictionary")
    except ValueError:
        return "refused"
    return "read"

written = subprocess.run(["node", "write.mjs"], check=True, capture_output=True, text=True).stdout
for line in json.loads(written):
    readers = {**line["readers"], "http-sf": read(line["field"])}
    print(f"{line['left']}, {line['writer']}: {line['field']}")
    print("   ", ", ".join(f"{reader} {answer}" for reader, answer in readers.items()))
PYTHON
seen=$(venv/bin/python read.py)
echo "$seen"
test "$seen" = "60, structured-headers: limit=100, left=60
    structured-headers read, structured-field-values read, http-sf read
60, structured-field-values: limit=100, left=60
    structured-headers read, structured-field-values read, http-sf read
59.9994, structured-headers: limit=100, left=59.999
    structured-headers read, structured-field-values read, http-sf read
59.9994, structured-field-values: limit=100, left=59.999
    structured-headers read, structured-field-values read, http-sf read
59.9997, structured-headers: limit=100, left=60.
    structured-headers refused, structured-field-values refused, http-sf refused
59.9997, structured-field-values: limit=100, left=60.0
    structured-headers read, structured-field-values read, http-sf read
0.0004, structured-headers: limit=100, left=0.
    structured-headers refused, structured-field-values refused, http-sf refused
0.0004, structured-field-values: limit=100, left=0.0
    structured-headers read, structured-field-values read, http-sf read"
