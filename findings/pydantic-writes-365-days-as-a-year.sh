#!/usr/bin/env bash
# A lifetime of 365 days, as API tokens often have it, is P1Y in what Pydantic 2.14.4 writes, a year of the calendar
# in ISO 8601; 364 days are P364D. msgspec 0.23.0 and Django 5.2.19 refuse the P1Y: a service that has read every
# lifetime of its partner reads none of a year or more. isodate 0.7.2 for Python, luxon 3.7.2 and dayjs 1.11.23 for
# Node take it at its word: a token of June 2027 lives a day longer there, as a 29th of February lies on its way, and
# one of June 2028 does not. P365D, as msgspec and isodate write that lifetime, is the same to all of them.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pydantic==2.14.4 msgspec==0.23.0 Django==5.2.19 isodate==0.7.2
npm install --silent --no-audit --no-fund luxon@3.7.2 dayjs@1.11.23 > /dev/null 2>&1
cat > end.mjs <<'NODE'
import dayjs from "dayjs";
import duration from "dayjs/plugin/duration.js";
import { DateTime, Duration } from "luxon";

dayjs.extend(duration);
const [issued, lifetime] = process.argv.slice(2);
const ends = {
  luxon: DateTime.fromISO(issued, { zone: "utc" }).plus(Duration.fromISO(lifetime)).toISODate(),
  dayjs: dayjs(issued).add(dayjs.duration(lifetime)).toISOString().slice(0, 10),
};
console.log(JSON.stringify(ends));
NODE
cat > lifetime.py <<'PYTHON'
import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

import isodate
import msgspec
from django.utils.dateparse import parse_duration
from django.utils.duration import duration_iso_string
from pydantic import TypeAdapter

def by_msgspec(written):
    try:
        return msgspec.convert(written, timedelta)
    except msgspec.ValidationError:
        return None

readers = {
    "pydantic": TypeAdapter(timedelta).validate_python,
    "msgspec": by_msgspec,
    "Django": parse_duration,
    "isodate": isodate.parse_duration,
}
writers = {
    "pydantic": lambda lifetime: TypeAdapter(timedelta).dump_python(lifetime, mode="json"),
    "msgspec": msgspec.to_builtins,
    "Django": duration_iso_string,
    "isodate": isodate.duration_isoformat,
}

def ends(issued, written):
    for reader, read in readers.items():
        lifetime = read(written)
        yield reader, "refused" if lifetime is None else (issued + lifetime).date().isoformat()
    command = ["node", "end.mjs", issued.isoformat(), written]
    run = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "TZ": "UTC"})
    yield from json.loads(run.stdout).items()

for days in (364, 365, 400):
    print(f"{days} days:", ", ".join(f"{writer} {write(timedelta(days))}" for writer, write in writers.items()))
for year, days in ((2027, 364), (2027, 365), (2028, 365)):
    issued = datetime(year, 6, 1, tzinfo=UTC)
    for written in dict.fromkeys((f"P{days}D", writers["pydantic"](timedelta(days)))):
        by_end = {}
        for reader, end in ends(issued, written):
            by_end.setdefault(end, []).append(reader)
        print(f"{issued.date()} and {written}:", "; ".join(f"{end} {' '.join(by_end[end])}" for end in sorted(by_end)))
PYTHON
seen=$(venv/bin/python lifetime.py)
echo "$seen"
test "$seen" = "364 days: pydantic P364D, msgspec P364D, Django P364DT00H00M00S, isodate P364D
365 days: pydantic P1Y, msgspec P365D, Django P365DT00H00M00S, isodate P365D
400 days: pydantic P1Y35D, msgspec P400D, Django P400DT00H00M00S, isodate P400D
2027-06-01 and P364D: 2028-05-30 pydantic msgspec Django isodate luxon dayjs
2027-06-01 and P365D: 2028-05-31 pydantic msgspec Django isodate luxon dayjs
2027-06-01 and P1Y: 2028-05-31 pydantic; 2028-06-01 isodate luxon dayjs; refused msgspec Django
2028-06-01 and P365D: 2029-06-01 pydantic msgspec Django isodate luxon dayjs
2028-06-01 and P1Y: 2029-06-01 pydantic isodate luxon dayjs; refused msgspec Django"
