#!/usr/bin/env bash
# django-rest-knox: the column `digest` holds SHA-512 in hex in 4.2.0 and in 5.1.0, and of two different things: 4.2.0
# hashes the 32 bytes that the token's hex stands for, 5.1.0 the token's text. The changelog says of 5.0.0 that earlier
# tokens will no longer work, and not why. Their rows stay, no migration rewrites them and no column tells the two kinds
# apart: whoever exports the digests must know under which version each token was issued.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cat > "$folder/ask.py" <<'PYTHON'
import hashlib
import sys

import django
from django.conf import settings

settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "knox"],
                   SECRET_KEY="of this finding", USE_TZ=True,
                   DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from knox.models import AuthToken

call_command("migrate", verbosity=0)
row, token = AuthToken.objects.create(User.objects.create(username="ada"))
of = {"the bytes": bytes.fromhex(token), "the text": token.encode()}
found = [name for name, value in of.items() if hashlib.sha512(value).hexdigest() == row.digest]
print(sys.argv[1], "digest is SHA-512 of", *found)
PYTHON
python3 -m venv "$folder/venv"
install="$folder/venv/bin/pip install --quiet --disable-pip-version-check --no-compile"
$install django==4.2.27 djangorestframework==3.15.2 setuptools==80.9.0 cryptography==46.0.3
seen=$(for version in 4.2.0 5.1.0; do
  $install --no-deps "django-rest-knox==$version"
  "$folder/venv/bin/python" -W ignore "$folder/ask.py" "$version"
done)
echo "$seen"
test "$seen" = "4.2.0 digest is SHA-512 of the bytes
5.1.0 digest is SHA-512 of the text"
