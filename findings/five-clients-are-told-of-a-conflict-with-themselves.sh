#!/usr/bin/env bash
# A PUT with If-Match, so that nobody's change is lost, goes through; its answer does not, and the gateway says 504. PUT
# is idempotent (RFC 9110, 9.2.2), so got 14.6.6, ky 2.1.0, axios-retry 4.5.0, undici 7.30.2 with its RetryAgent and
# httpx-retries 0.6.0, each as it is made, send it again, If-Match and all. By then the entity tag is that of their own
# change: Django 5.2.19 with its condition() answers 412, nothing is sent after that, and the user hears that somebody
# else has changed the record, which has what the user wrote. requests 2.34.2, which sends nothing again, hands on the
# 504, which is true. RFC 9110, 13.1.1 knows of this and lets a server answer that with success if the change is there.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
server=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check Django==5.2.19 requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 \
  httpx-retries==0.6.0
npm install --silent --no-audit --no-fund got@14.6.6 ky@2.1.0 axios@1.21.1 axios-retry@4.5.0 undici@7.30.2 \
  > /dev/null 2>&1
cat > serve.py <<'PYTHON'
from collections import defaultdict
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import condition

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
django.setup()
records = defaultdict(lambda: ["as it was"])

@condition(etag_func=lambda request, name: f'"{len(records[name])}"')
def record(request, name):
    if request.method == "PUT":
        records[name].append(request.body.decode())
    return HttpResponse(records[name][-1])

urlpatterns = [path("<name>", record)]

class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass

from django.core.wsgi import get_wsgi_application

server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
cat > ask.mjs <<'JS'
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import axios from "axios";
import axiosRetry from "axios-retry";
import got from "got";
import ky from "ky";
import { Agent, RetryAgent, request } from "undici";

const application = `http://127.0.0.1:${process.argv[2]}`;
const told = new Map();
const gateway = createServer(async (asked, response) => {
  const { url, method, headers } = asked;
  const sent = { "if-match": headers["if-match"], "content-type": "text/plain" };
  const { statusCode, body } = await request(application + url, { method, headers: sent, body: await buffer(asked) });
  await body.dump();
  const answers = told.get(url) ?? [];
  answers.push(answers.length ? statusCode : 504);
  told.set(url, answers);
  response.writeHead(answers.at(-1)).end();
}).listen(0, "127.0.0.1");
await once(gateway, "listening");
const host = `http://127.0.0.1:${gateway.address().port}`;
const headers = { "If-Match": '"1"' };
const body = "as the user wrote it";
const retrying = axios.create();
axiosRetry(retrying);
const clients = {
  got: (url) => got.put(url, { headers, body }),
  ky: (url) => ky.put(url, { headers, body }),
  "axios-retry": (url) => retrying.put(url, body, { headers }),
  undici: (url) => request(url, { method: "PUT", headers, body, dispatcher: new RetryAgent(new Agent()) }),
};
for (const [name, ask] of Object.entries(clients)) await ask(`${host}/${name}`).catch(() => {});
await promisify(execFile)("venv/bin/python", ["ask.py", host, headers["If-Match"], body]);
for (const [path, answers] of told) {
  const record = await (await fetch(application + path)).text();
  console.log(`${path.slice(1)}: told ${answers.join(", ")}; the record is ${record}`);
}
process.exit();
JS
cat > ask.py <<'PYTHON'
import sys

import httpx
import requests
from httpx_retries import RetryTransport

host, tag, body = sys.argv[1:]
with httpx.Client(transport=RetryTransport()) as client:
    client.put(f"{host}/httpx-retries", headers={"If-Match": tag}, content=body)
requests.put(f"{host}/requests", headers={"If-Match": tag}, data=body)
PYTHON
venv/bin/python serve.py > port & server=$!
until test -s port; do sleep 0.1; done
seen=$(node ask.mjs "$(cat port)")
echo "$seen"
test "$seen" = "got: told 504, 412; the record is as the user wrote it
ky: told 504, 412; the record is as the user wrote it
axios-retry: told 504, 412; the record is as the user wrote it
undici: told 504, 412; the record is as the user wrote it
httpx-retries: told 504, 412; the record is as the user wrote it
requests: told 504; the record is as the user wrote it"
