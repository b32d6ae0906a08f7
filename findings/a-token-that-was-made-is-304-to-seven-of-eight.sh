#!/usr/bin/env bash
# A token is made by PUT with If-None-Match: *, so that nobody's is written over (RFC 9110, 13.1.2). It is made, and the
# answer is 303 See Other; the client goes there by GET and says If-None-Match: * again, and by the same section what is
# there is then 304, with nothing in it. Seven of eight clients bring the condition along: those that RFC 9110, 15.4 has
# removed are the ones that the client's own cache has added. Django 5.2.19 with its ConditionalGetMiddleware answers
# 304 to the seven; so does Express 5.3.0 to requests 2.34.2, httpx 0.28.1, aiohttp 3.14.5, got 14.6.6 and axios 1.21.1,
# but not to the fetch() of undici 7.30.2 and ky 2.1.0 over it, which adds Cache-Control: no-cache to a condition.
# httplib2 0.32.1 takes the condition off. To requests, aiohttp, got and fetch() a 304 is no error, and the token is not
# in it; who tries again is told 412, as if somebody else had made it.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
children=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check Django==5.2.19 requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 \
  aiohttp==3.14.5 httplib2==0.32.1
npm install --silent --no-audit --no-fund express@5.3.0 axios@1.21.1 got@14.6.6 ky@2.1.0 undici@7.30.2 > /dev/null 2>&1
cat > django_server.py <<'PYTHON'
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
                   MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware"])
django.setup()
tokens = set()

def token(request, name):
    if request.method == "GET":
        return JsonResponse({"name": name})
    if name in tokens and request.headers.get("If-None-Match") == "*":
        return HttpResponse(status=412)
    tokens.add(name)
    return HttpResponse(status=303, headers={"Location": request.path})

urlpatterns = [path("<name>", token)]

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass

server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
cat > express.mjs <<'JS'
import express from "express";

const tokens = new Set();
const app = express();
app.get("/:name", (request, response) => {
  response.json({ name: request.params.name, asked: request.get("Cache-Control") });
});
app.put("/:name", (request, response) => {
  const { name } = request.params;
  if (tokens.has(name) && request.get("If-None-Match") === "*") return response.status(412).end();
  tokens.add(name);
  response.redirect(303, request.path);
});
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
cat > ask.mjs <<'JS'
import axios from "axios";
import got from "got";
import ky from "ky";
import { fetch } from "undici";

const headers = { "If-None-Match": "*" };
const clients = {
  got: async (url) => {
    const { statusCode, body } = await got.put(url, { headers });
    return [statusCode, body];
  },
  axios: async (url) => {
    const { status, data } = await axios.put(url, null, { headers, responseType: "text" });
    return [status, data];
  },
  undici: async (url) => {
    const answer = await fetch(url, { method: "PUT", headers });
    return [answer.status, await answer.text()];
  },
  ky: async (url) => {
    const answer = await ky.put(url, { headers });
    return [answer.status, await answer.text()];
  },
};
for (const [name, put] of Object.entries(clients)) {
  const url = `http://127.0.0.1:${process.argv[2]}/${name}`;
  const [status, body, raised = ""] = await put(url).catch(({ response }) => [response.status, "", ", raised"]);
  const { status: again } = await fetch(url, { method: "PUT", headers });
  console.log(`${name}: ${status} ${body || "nothing"}${raised}; once more: ${again}`);
}
process.exit();
JS
cat > ask.py <<'PYTHON'
import asyncio
import sys

import aiohttp
import httplib2
import httpx
import requests

headers = {"If-None-Match": "*"}

def in_requests(url):
    answer = requests.put(url, headers=headers)
    return answer.status_code, answer.text, answer.raise_for_status

def in_httpx(url):
    answer = httpx.put(url, headers=headers, follow_redirects=True)
    return answer.status_code, answer.text, answer.raise_for_status

def in_aiohttp(url):
    async def put():
        async with aiohttp.ClientSession() as session, session.put(url, headers=headers) as answer:
            return answer.status, await answer.text(), answer.raise_for_status

    return asyncio.run(put())

def in_httplib2(url):
    answer, body = httplib2.Http().request(url, "PUT", headers=headers)
    return answer.status, body.decode(), lambda: None

for put in (in_requests, in_httpx, in_aiohttp, in_httplib2):
    name = put.__name__[3:]
    url = f"http://127.0.0.1:{sys.argv[1]}/{name}"
    status, body, check = put(url)
    try:
        check()
        raised = ""
    except httpx.HTTPStatusError:
        raised = ", raised"
    again = requests.put(url, headers=headers, allow_redirects=False).status_code
    print(f"{name}: {status} {body or 'nothing'}{raised}; once more: {again}", flush=True)
PYTHON
venv/bin/python django_server.py > django.port & children="$children $!"
node express.mjs > express.port & children="$children $!"
for server in express django; do
  for _ in $(seq 300); do test -s $server.port && break; sleep 0.1; done
  echo "$server"
  venv/bin/python ask.py "$(cat $server.port)"
  node ask.mjs "$(cat $server.port)"
done > seen
cat seen
test "$(cat seen)" = 'express
requests: 304 nothing; once more: 412
httpx: 304 nothing, raised; once more: 412
aiohttp: 304 nothing; once more: 412
httplib2: 200 {"name":"httplib2"}; once more: 412
got: 304 nothing; once more: 412
axios: 304 nothing, raised; once more: 412
undici: 200 {"name":"undici","asked":"no-cache"}; once more: 412
ky: 200 {"name":"ky","asked":"no-cache"}; once more: 412
django
requests: 304 nothing; once more: 412
httpx: 304 nothing, raised; once more: 412
aiohttp: 304 nothing; once more: 412
httplib2: 200 {"name": "httplib2"}; once more: 412
got: 304 nothing; once more: 412
axios: 304 nothing, raised; once more: 412
undici: 304 nothing; once more: 412
ky: 304 nothing, raised; once more: 412'
