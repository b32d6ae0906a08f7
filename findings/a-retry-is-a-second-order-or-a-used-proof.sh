#!/usr/bin/env bash
# An order is made, its answer is lost, the gateway says 503, and the client sends it again. Two fields are set where
# each client has its place for them, the hook before a request: an Idempotency-Key, which has to be the same in the
# retry (draft-ietf-httpapi-idempotency-key-header-07, 2), and a DPoP proof, whose jti must not be (RFC 9449, 4.2 and
# 11.1). got 14.6.6, axios-retry 4.5.0, ofetch 1.5.1 and aiohttp-retry 2.9.1 run the hook for each try, and the order is
# made twice. ky 2.1.0, which has the author of got and the same names for its hooks, requests 2.34.2 and httpx-retries
# 0.6.0 run it once: the retry is refused as a replay, and the client is told 401 of an order that is made. No client of
# the seven serves both; and ky 1.14.3 did as got does, so its upgrade mends the one and breaks the other.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 \
  httpx-retries==0.6.0 aiohttp==3.14.5 aiohttp-retry==2.9.1 'PyJWT[crypto]==2.15.1'
npm install --silent --no-audit --no-fund ky@2.1.0 ky1@npm:ky@1.14.3 got@14.6.6 axios@1.21.1 axios-retry@4.5.0 \
  ofetch@1.5.1 dpop@2.1.2 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { promisify } from "node:util";
import axios from "axios";
import axiosRetry from "axios-retry";
import { generateKeyPair, generateProof } from "dpop";
import got from "got";
import ky from "ky";
import ky1 from "ky1";
import { ofetch } from "ofetch";

const shops = new Map();
const server = createServer(({ url, headers }, response) => {
  const shop = shops.get(url) ?? { orders: new Set(), proofs: new Set(), told: [] };
  shops.set(url, shop);
  const { jti } = JSON.parse(Buffer.from(headers.dpop.split(".")[1], "base64url"));
  let status = 401;
  if (!shop.proofs.has(jti)) {
    shop.proofs.add(jti);
    shop.orders.add(headers["idempotency-key"]);
    status = shop.told.length ? 201 : 503;
  }
  shop.told.push(status);
  response.writeHead(status).end();
}).listen(0, "127.0.0.1");
await once(server, "listening");
const host = `http://127.0.0.1:${server.address().port}`;
const pair = await generateKeyPair("ES256");
const fields = async (url) => ({ "Idempotency-Key": randomUUID(), DPoP: await generateProof(pair, url, "POST") });
const retrying = axios.create();
axiosRetry(retrying, { retryCondition: ({ response }) => response.status === 503 });
retrying.interceptors.request.use(async (config) => {
  config.headers.set(await fields(config.url));
  return config;
});
const set = async (request) => {
  for (const [name, value] of Object.entries(await fields(request.url))) request.headers.set(name, value);
};
const clients = {
  "ky 1": (url) => ky1.post(url, { retry: { methods: ["post"] }, hooks: { beforeRequest: [set] } }),
  "ky 2": (url) => {
    return ky.post(url, { retry: { methods: ["post"] }, hooks: { beforeRequest: [({ request }) => set(request)] } });
  },
  got: (url) => {
    const sign = async ({ headers }) => void Object.assign(headers, await fields(url));
    return got.post(url, { retry: { methods: ["POST"] }, hooks: { beforeRequest: [sign] } });
  },
  "axios-retry": (url) => retrying.post(url),
  ofetch: (url) => {
    const onRequest = async ({ options }) => set({ url, headers: options.headers });
    return ofetch(url, { method: "POST", retry: 1, onRequest });
  },
};
for (const [name, ask] of Object.entries(clients)) await ask(`${host}/${encodeURIComponent(name)}`).catch(() => {});
await promisify(execFile)("venv/bin/python", ["ask.py", host]);
for (const [path, { orders, told }] of shops) {
  console.log(`${decodeURIComponent(path.slice(1))}: told ${told.join(", ")}; orders made: ${orders.size}`);
}
process.exit();
JS
cat > ask.py <<'PYTHON'
import asyncio
import json
import sys
import time
import uuid

import aiohttp
import aiohttp_retry
import httpx
import httpx_retries
import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

host = sys.argv[1]
key = ec.generate_private_key(ec.SECP256R1())
public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))

def sign(request):
    claims = {"jti": str(uuid.uuid4()), "htm": "POST", "htu": str(request.url), "iat": int(time.time())}
    request.headers["DPoP"] = jwt.encode(claims, key, "ES256", {"typ": "dpop+jwt", "jwk": public})
    request.headers["Idempotency-Key"] = str(uuid.uuid4())
    return request

session = requests.Session()
session.mount(host, HTTPAdapter(max_retries=Retry(3, allowed_methods=["POST"], status_forcelist=[503])))
session.post(f"{host}/requests", auth=sign)

transport = httpx_retries.RetryTransport(retry=httpx_retries.Retry(3, allowed_methods=["POST"]))
with httpx.Client(transport=transport, event_hooks={"request": [sign]}) as client:
    client.post(f"{host}/httpx-retries")

async def post():
    async def signing(request, handler):
        return await handler(sign(request))

    async with aiohttp.ClientSession(middlewares=(signing,)) as session:
        client = aiohttp_retry.RetryClient(session, retry_options=aiohttp_retry.ExponentialRetry(3))
        async with client.post(f"{host}/aiohttp-retry"):
            pass

asyncio.run(post())
PYTHON
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "ky 1: told 503, 201; orders made: 2
ky 2: told 503, 401; orders made: 1
got: told 503, 201; orders made: 2
axios-retry: told 503, 201; orders made: 2
ofetch: told 503, 201; orders made: 2
requests: told 503, 401; orders made: 1
httpx-retries: told 503, 401; orders made: 1
aiohttp-retry: told 503, 201; orders made: 2"
