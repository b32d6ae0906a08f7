#!/usr/bin/env bash
# uvicorn 0.54.0, one application, `GET http://api.example/tokens HTTP/1.1`, the form that RFC 9112, 3.2.2 has every
# server accept: with httptools installed scope["path"] is /tokens and Starlette 1.10.0 answers 200; without it, when
# h11 parses, it is the whole of http://api.example/tokens and the answer is 404. Which one runs depends on whether
# anything in the environment asked for uvicorn[standard].
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check uvicorn==0.54.0 starlette==1.10.0 h11==0.16.0
cat > application.py <<'PYTHON'
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def tokens(request):
    return PlainTextResponse("tokens")

app = Starlette(routes=[Route("/tokens", tokens)])
PYTHON
serve() {
  venv/bin/uvicorn --uds "$1.sock" --log-level critical application:app > "$1.log" 2>&1 & children="$children $!"
  for _ in $(seq 200); do test -S "$1.sock" && break; sleep 0.1; done
}
serve h11
venv/bin/pip install --quiet --disable-pip-version-check httptools==0.9.0
serve httptools
for parser in h11 httptools; do
  for target in /tokens http://api.example/tokens; do
    echo "$parser, $target: $(curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' \
      --unix-socket "$parser.sock" --request-target "$target" http://api.example/)"
  done
done > seen
cat seen
test "$(cat seen)" = "h11, /tokens: 200
h11, http://api.example/tokens: 404
httptools, /tokens: 200
httptools, http://api.example/tokens: 200"
