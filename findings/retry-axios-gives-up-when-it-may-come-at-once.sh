#!/usr/bin/env bash
# koa-ratelimit 6.0.0 cuts the seconds that are left to a whole number, so of 2.9 it says Retry-After: 2, and in the
# last second of each window 0, a number of seconds as good as any (RFC 9110, 10.2.3). retry-axios 4.0.3 waits the two
# seconds, is still early by what was cut off, is told 0, and takes that for no answer: it gives up, with two of its
# three retries left, a fraction of a second before it would be served. axios-retry 4.5.0 takes the 0 at its word and
# spends the rest of its three at once. undici 7.30.2 and got 14.6.6 fall back on a pause of their own and are served.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund koa@3.3.0 koa-ratelimit@6.0.0 axios@1.21.1 retry-axios@4.0.3 \
  axios-retry@4.5.0 undici@7.30.2 got@14.6.6 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import axios from "axios";
import axiosRetry from "axios-retry";
import got from "got";
import Koa from "koa";
import ratelimit from "koa-ratelimit";
import * as retryAxios from "retry-axios";
import { Agent, RetryAgent, request } from "undici";

const attached = axios.create();
attached.defaults.raxConfig = { instance: attached };
retryAxios.attach(attached);
const retrying = axios.create();
axiosRetry(retrying);
const clients = {
  "retry-axios": (address) => attached.get(address),
  "axios-retry": (address) => retrying.get(address),
  undici: async (address) => {
    const { statusCode } = await request(address, { dispatcher: new RetryAgent(new Agent()) });
    if (statusCode !== 200) throw new Error(statusCode);
  },
  got: (address) => got(address),
};
for (const [name, ask] of Object.entries(clients)) {
  const waits = [];
  const application = new Koa();
  application.use(async (context, next) => {
    await next();
    if (context.status === 429) waits.push(context.response.get("Retry-After"));
  });
  application.use(ratelimit({ driver: "memory", db: new Map(), duration: 3000, max: 1, id: ({ path }) => path }));
  application.use((context) => {
    context.body = "orders";
  });
  const server = application.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `http://127.0.0.1:${server.address().port}`;
  await ask(`${host}/first`);
  await fetch(`${host}/orders`);
  const outcome = await ask(`${host}/orders`).then(() => "served", () => "given up");
  console.log(`${name}: told to wait ${waits.join(", ")}; ${outcome}`);
}
process.exit();
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "retry-axios: told to wait 2, 0; given up
axios-retry: told to wait 2, 0, 0, 0; given up
undici: told to wait 2, 0; served
got: told to wait 2, 0; served"
