#!/usr/bin/env bash
# drf-simple-apikey 2.4.1 under Django 5.2.19, two columns of a key's row. `expiry_date`, whose help says that a key
# cannot be used after it, is copied into the key when that is made and never looked at again: a key whose row was
# prolonged by a year ends on its old day. `created` is written anew by every save(), so of a revoked key it tells when
# it was revoked. Whoever moves such rows elsewhere brings ends that were never in force and ages that are too young;
# what is in force can only be read with the secret and the key itself.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check drf-simple-apikey==2.4.1 Django==5.2.19 \
  djangorestframework==3.18.3 cryptography==46.0.3 time-machine==3.5.0
cat > ask.py <<'PYTHON'
import logging
from datetime import datetime, timedelta, timezone

import django
import time_machine
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import call_command

logging.disable()
settings.configure(
    SECRET_KEY="secret",
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "drf_simple_apikey"],
    DRF_API_KEY={"FERNET_SECRET": Fernet.generate_key().decode(), "API_KEY_LIFETIME": 30, "ENFORCE_HTTPS": False},
)
django.setup()
from django.contrib.auth.models import User
from drf_simple_apikey.backends import APIKeyAuthentication
from drf_simple_apikey.models import APIKey
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIRequestFactory

call_command("migrate", verbosity=0)
start = datetime(2030, 1, 1, tzinfo=timezone.utc)
day = timedelta(days=1)

def ask(key):
    request = APIRequestFactory().get("/", headers={"Authorization": f"Api-Key {key}"})
    try:
        APIKeyAuthentication().authenticate(request)
        return "taken"
    except AuthenticationFailed as error:
        return str(error.detail)

with time_machine.travel(start, tick=False) as clock:
    user = User.objects.create(username="ada")
    for name, end in (("as it was made", 30 * day), ("prolonged", 395 * day)):
        row, key = APIKey.objects.create_api_key(name=name, entity=user)
        clock.move_to(start + 9 * day)
        APIKey.objects.filter(pk=row.pk).update(expiry_date=start + end)
        for later in (10, 31):
            clock.move_to(start + later * day)
            row.refresh_from_db()
            left = (row.expiry_date - start).days
            print(f"{name}: row ends on day {left}, on day {later} {ask(key)}")
        clock.move_to(start)
    row, key = APIKey.objects.create_api_key(name="revoked", entity=user)
    clock.move_to(start + 20 * day)
    APIKey.objects.revoke_api_key(row.pk)
    row.refresh_from_db()
    print(f"made on day 0, revoked on day 20: created on day {(row.created - start).days}")
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "as it was made: row ends on day 30, on day 10 taken
as it was made: row ends on day 30, on day 31 API Key has already expired.
prolonged: row ends on day 395, on day 10 taken
prolonged: row ends on day 395, on day 31 API Key has already expired.
made on day 0, revoked on day 20: created on day 20"
