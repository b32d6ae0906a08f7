#!/usr/bin/env bash
# A list is replaced by PUT, its rows sent as they are read. Once the first answer is 503, once the path lacks a slash,
# for which Starlette 1.10.0 answers 307; both times the client sends the request again, as RFC 9110, 9.2.2 and 15.4 let
# it. By then all rows have been read: six of eight clients send none, are told 200, and the list is empty. Each has a
# guard against that, and each at another door. requests 2.34.2 raises UnrewindableBodyError for a pipe and does not
# notice a generator. httpx 0.28.1 (httpx-retries 0.6.0) raises for a generator and not for what map() gives. aiohttp
# 3.14.5 raises at the 307, aiohttp-retry 2.9.1 not at the 503. axios 1.21.1 has kept the rows for the 307, axios-retry
# 4.5.0 not for the 503. got 14.6.6 refuses to retry and follows the redirect. undici 7.30.2 with its RetryAgent raises
# for a stream and not for a generator. With ky 2.1.0 and ofetch 1.5.1 the rows are sent or an error tells of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
server=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check starlette==1.10.0 uvicorn==0.54.0 h11==0.16.0 \
  requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 httpx-retries==0.6.0 aiohttp==3.14.5 aiohttp-retry==2.9.1
npm install --silent --no-audit --no-fund axios@1.21.1 axios-retry@4.5.0 got@14.6.6 ky@2.1.0 ofetch@1.5.1 \
  undici@7.30.2 > /dev/null 2>&1
cat > application.py <<'PYTHON'
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

busy, lists = set(), {}

async def answer(request):
    name = request.path_params["name"]
    if request.method == "PUT":
        rows = (await request.body()).split()
        if name.endswith("503") and name not in busy:
            busy.add(name)
            return PlainTextResponse("busy", 503, {"Retry-After": "0"})
        lists[name] = rows
    return PlainTextResponse(f"{len(lists[name])} rows" if name in lists else "as it was")

app = Starlette(routes=[Route("/lists/{name}/", answer, methods=["GET", "PUT"])])
PYTHON
cat > ask.py <<'PYTHON'
import asyncio
import subprocess
import sys

import aiohttp
import httpx
import requests
from aiohttp_retry import ExponentialRetry, RetryClient
from httpx_retries import RetryTransport
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

def generator():
    yield from (b"tok_1\n", b"tok_2\n", b"tok_3\n")

async def async_generator():
    for row in generator():
        yield row

def file():
    return open("rows", "rb")

def mapped():
    return map(bytes, generator())

def pipe():
    return subprocess.Popen(["cat", "rows"], stdout=subprocess.PIPE).stdout

def in_requests(url, body):
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(1, status_forcelist=[503])))
        return session.put(url, data=body).status_code

def in_httpx(url, body):
    with httpx.Client(transport=RetryTransport(), follow_redirects=True) as client:
        return client.put(url, content=body).status_code

def in_aiohttp(url, body):
    async def put():
        async with RetryClient(retry_options=ExponentialRetry(3)) as client, client.put(url, data=body) as answer:
            return answer.status

    return asyncio.run(put())

for client, bodies in (
    (in_requests, (generator, pipe, file)),
    (in_httpx, (generator, mapped)),
    (in_aiohttp, (async_generator,)),
):
    for body in bodies:
        name = f"{client.__name__[3:]}, {body.__name__.replace('_', ' ')}"
        seen = []
        for cause, slash in ((503, "/"), (307, "")):
            url = f"http://127.0.0.1:{sys.argv[1]}/lists/{name}-{cause}"
            try:
                told = client(url + slash, body())
            except Exception as error:
                told = type(error).__name__
            seen.append(f"{cause}, told {told}, {requests.get(url + '/').text}")
        print(f"{name}: {'; '.join(seen)}", flush=True)
PYTHON
cat > ask.mjs <<'JS'
import { Readable } from "node:stream";
import axios from "axios";
import axiosRetry from "axios-retry";
import got from "got";
import ky from "ky";
import { ofetch } from "ofetch";
import { Agent, RetryAgent, request } from "undici";

async function* generator() {
  yield* ["tok_1\n", "tok_2\n", "tok_3\n"].map((row) => Buffer.from(row));
}
const stream = () => Readable.from(generator());
const retrying = axios.create();
axiosRetry(retrying);
const web = () => ({ method: "PUT", body: Readable.toWeb(stream()), duplex: "half" });
const agent = new RetryAgent(new Agent());
const inUndici = (url, body) => request(url, { method: "PUT", body, dispatcher: agent });
const clients = {
  "axios, stream": async (url) => (await retrying.put(url, stream())).status,
  "got, stream": async (url) => (await got.put(url, { body: stream() })).statusCode,
  "undici, stream": async (url) => (await inUndici(url, stream())).statusCode,
  "undici, generator": async (url) => (await inUndici(url, generator())).statusCode,
  "ky, stream": async (url) => (await ky(url, web())).status,
  "ofetch, stream": async (url) => (await ofetch.raw(url, web())).status,
};
for (const [name, put] of Object.entries(clients)) {
  const seen = [];
  for (const [cause, slash] of [[503, "/"], [307, ""]]) {
    const url = `http://127.0.0.1:${process.argv[2]}/lists/${encodeURIComponent(name)}-${cause}`;
    const told = await put(url + slash).catch((error) => error.name);
    seen.push(`${cause}, told ${told}, ${await (await fetch(`${url}/`)).text()}`);
  }
  console.log(`${name}: ${seen.join("; ")}`);
}
process.exit();
JS
printf 'tok_1\ntok_2\ntok_3\n' > rows
venv/bin/uvicorn --port 0 --no-access-log application:app > log 2>&1 & server=$!
for _ in $(seq 300); do
  port=$(sed -n 's/.*running on http:..127.0.0.1:\([0-9]*\).*/\1/p' log)
  test -n "$port" && break
  sleep 0.1
done
seen=$(venv/bin/python -W ignore ask.py "$port" && node ask.mjs "$port")
echo "$seen"
test "$seen" = "requests, generator: 503, told 200, 0 rows; 307, told 200, 0 rows
requests, pipe: 503, told UnrewindableBodyError, as it was; 307, told UnrewindableBodyError, as it was
requests, file: 503, told 200, 3 rows; 307, told 200, 3 rows
httpx, generator: 503, told StreamConsumed, as it was; 307, told StreamConsumed, as it was
httpx, mapped: 503, told 200, 0 rows; 307, told 200, 0 rows
aiohttp, async generator: 503, told 200, 0 rows; 307, told ClientPayloadError, as it was
axios, stream: 503, told 200, 0 rows; 307, told 200, 3 rows
got, stream: 503, told HTTPError, as it was; 307, told 200, 0 rows
undici, stream: 503, told RequestRetryError, as it was; 307, told 307, as it was
undici, generator: 503, told 200, 0 rows; 307, told 307, as it was
ky, stream: 503, told 200, 3 rows; 307, told NetworkError, as it was
ofetch, stream: 503, told FetchError, as it was; 307, told FetchError, as it was"
