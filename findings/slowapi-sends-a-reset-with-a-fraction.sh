#!/usr/bin/env bash
# slowapi 0.1.10, made after Flask-Limiter and with the same `limits` 5.8.0 beneath: X-RateLimit-Reset comes with a
# decimal point and digits of a microsecond, Flask-Limiter 4.1.1 sends whole seconds for the same rule. A client that
# reads the field by int(), as it may behind the one, gets a ValueError behind the other.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  slowapi==0.1.10 flask-limiter==4.1.1 limits==5.8.0 starlette==1.10.0 httpx==0.28.1 flask==3.1.3
seen=$("$folder/venv/bin/python" -W ignore - <<'PYTHON'
import flask
import flask_limiter
import slowapi
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

def key(*args):
    return "ada"

limiter = slowapi.Limiter(key_func=key, headers_enabled=True)

@limiter.limit("10/minute")
def in_starlette(request):
    return PlainTextResponse("page")

app = Starlette(routes=[Route("/", in_starlette)])
app.state.limiter = limiter

site = flask.Flask("finding")
limits = flask_limiter.Limiter(key, app=site, headers_enabled=True, storage_uri="memory://")

@site.route("/")
@limits.limit("10/minute")
def in_flask():
    return "page"

for name, client in (("slowapi", TestClient(app)), ("Flask-Limiter", site.test_client())):
    reset = client.get("/").headers["X-RateLimit-Reset"]
    try:
        int(reset)
        print(name, "whole seconds")
    except ValueError:
        print(name, "seconds with a fraction:", reset.split(".")[1].isdigit())
PYTHON
)
echo "$seen"
test "$seen" = "slowapi seconds with a fraction: True
Flask-Limiter whole seconds"
