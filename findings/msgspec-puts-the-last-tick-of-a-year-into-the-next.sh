#!/usr/bin/env bash
# The last moment of a day has seven nines in .NET and nine in Java (LocalTime.MAX), and Python's datetime holds six
# digits. Pydantic 2.14.4 and Django 5.2.19 cut the rest off; msgspec 0.23.0 rounds, as it was made to on purpose, so
# "until 2026-12-31T23:59:59.9999999Z" is the first moment of 2027 to it: another day, month and year than to a service
# beside it that reads the same message. .NET's DateTime.MaxValue, which stands for "never" in many a record, would be
# in the year 10000: msgspec calls this well-formed moment "Invalid RFC3339 encoded datetime", and takes it with one
# digit less.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check msgspec==0.23.0 pydantic==2.14.4 django==5.2.19
cat > read.py <<'PYTHON'
from datetime import datetime

import msgspec
from django.utils.dateparse import parse_datetime
from pydantic import TypeAdapter

readers = {
    "msgspec": lambda text: msgspec.json.decode(f'"{text}"', type=datetime),
    "Pydantic": lambda text: TypeAdapter(datetime).validate_json(f'"{text}"'),
    "Django": parse_datetime,
}
for text in (
    "2026-12-31T23:59:59.9999999Z",
    "2026-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59.999999Z",
):
    print(text)
    for name, read in readers.items():
        try:
            print(f"    {name}: {read(text)}")
        except ValueError as error:
            print(f"    {name}: {error}")
PYTHON
seen=$(venv/bin/python read.py)
echo "$seen"
test "$seen" = "2026-12-31T23:59:59.9999999Z
    msgspec: 2027-01-01 00:00:00+00:00
    Pydantic: 2026-12-31 23:59:59.999999+00:00
    Django: 2026-12-31 23:59:59.999999+00:00
2026-12-31T23:59:59.999999999Z
    msgspec: 2027-01-01 00:00:00+00:00
    Pydantic: 2026-12-31 23:59:59.999999+00:00
    Django: 2026-12-31 23:59:59.999999+00:00
9999-12-31T23:59:59.9999999Z
    msgspec: Invalid RFC3339 encoded datetime
    Pydantic: 9999-12-31 23:59:59.999999+00:00
    Django: 9999-12-31 23:59:59.999999+00:00
9999-12-31T23:59:59.999999Z
    msgspec: 9999-12-31 23:59:59.999999+00:00
    Pydantic: 9999-12-31 23:59:59.999999+00:00
    Django: 9999-12-31 23:59:59.999999+00:00"
