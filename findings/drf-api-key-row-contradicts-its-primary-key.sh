#!/usr/bin/env bash
# djangorestframework-api-key: the primary key of a row is its prefix, a dot and its hash. A row issued under 2.3.0
# holds a PBKDF2 hash; presented under 3.1.0, its hash is written anew as sha512$$..., and the primary key is not: from
# then on it names a hash that the row no longer has. Reading a digest out of `id` finds a dead one; foreign keys keep
# working.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cat > "$folder/ask.py" <<'PYTHON'
import sys

import django
from django.conf import settings

folder, step = sys.argv[1:]
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "rest_framework", "rest_framework_api_key"],
                   SECRET_KEY="of this finding", USE_TZ=True,
                   DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/db"}})
django.setup()
from django.core.management import call_command
from rest_framework_api_key.models import APIKey

call_command("migrate", verbosity=0)
if step == "issue":
    row, key = APIKey.objects.create_key(name="of 2.3.0")
    open(f"{folder}/key", "w").write(key)
else:
    print("accepted", APIKey.objects.is_valid(open(f"{folder}/key").read()))
row = APIKey.objects.get()
print(step, "hash", row.hashed_key.split("$")[0], "primary key", row.pk.split(".", 1)[1].split("$")[0])
PYTHON
python3 -m venv "$folder/venv"
install="$folder/venv/bin/pip install --quiet --disable-pip-version-check --no-compile"
$install django==4.2.27 djangorestframework==3.15.2 packaging==25.0
seen=$(for step in issue:2.3.0 present:3.1.0; do
  $install --no-deps "djangorestframework-api-key==${step#*:}"
  "$folder/venv/bin/python" -W ignore "$folder/ask.py" "$folder" "${step%:*}"
done)
echo "$seen"
test "$seen" = "issue hash pbkdf2_sha256 primary key pbkdf2_sha256
accepted True
present hash sha512 primary key pbkdf2_sha256"
