#!/usr/bin/env bash
# Django 5.2.19 (and the DurationField of Django REST framework 3.18.3) and Pydantic 2.14.4: a lifetime of "15:00" is a
# quarter of an hour to the one and fifteen hours to the other; "00:15:00" and "PT15M" are the same to both. What the
# DurationField writes is read by Pydantic up to a day, and a lifetime of one day or more, "1 00:00:00", is refused.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  django==5.2.19 djangorestframework==3.18.3 pydantic==2.14.4
seen=$("$folder/venv/bin/python" - <<'PYTHON'
from datetime import timedelta

from django.conf import settings
from pydantic import TypeAdapter, ValidationError

settings.configure(USE_I18N=False)
from rest_framework.serializers import DurationField

field, adapter = DurationField(), TypeAdapter(timedelta)

def read(text):
    try:
        return adapter.validate_python(text)
    except ValidationError:
        return "refused"

for text in ("PT15M", "00:15:00", "15:00"):
    print(text, "| Django:", field.to_internal_value(text), "| Pydantic:", read(text))
for lifetime in (timedelta(hours=23), timedelta(days=1)):
    written = field.to_representation(lifetime)
    print(lifetime, "| Django writes:", written, "| Pydantic:", read(written))
PYTHON
)
echo "$seen"
test "$seen" = "PT15M | Django: 0:15:00 | Pydantic: 0:15:00
00:15:00 | Django: 0:15:00 | Pydantic: 0:15:00
15:00 | Django: 0:15:00 | Pydantic: 15:00:00
23:00:00 | Django writes: 23:00:00 | Pydantic: 23:00:00
1 day, 0:00:00 | Django writes: 1 00:00:00 | Pydantic: refused"
