#!/usr/bin/env bash
# express-idempotency 1.0.6 under Express 5.3.0, a request and its retry with one Idempotency-Key. What a handler sends
# with send() or json() is replayed. What it ends with end(), as `response.status(204).end()` does it for a revocation
# and a stream for a list, counts as still in progress for as long as the process lives: the retry gets 409, and so does
# every later one, of a request that was done and answered. And of a 201 that is replayed the Location is gone, and with
# it the name of what was made, for whose sake the client that lost the first answer asks again.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund express@5.3.0 express-idempotency@1.0.6 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import { Readable } from "node:stream";
import express from "express";
import idempotency from "express-idempotency";

const application = express().use(express.json(), idempotency.idempotency());
const ends = {
  json: (response) => response.status(201).location("/tokens/7").json({ id: 7 }),
  sendStatus: (response) => response.sendStatus(204),
  end: (response) => response.status(204).end(),
  stream: (response) => Readable.from(["[]"]).pipe(response.type("json")),
};
let done = 0;
for (const [name, end] of Object.entries(ends)) {
  application.post(`/${name}`, (request, response) => {
    if (idempotency.getSharedIdempotencyService().isHit(request)) return;
    done += 1;
    end(response);
  });
}
application.use((error, request, response, next) => response.json({ detail: error.message }));
const server = application.listen(0, "127.0.0.1");
await once(server, "listening");
for (const name of Object.keys(ends)) {
  done = 0;
  const told = [];
  for (const pause of [0, 500, 500]) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/${name}`, {
      method: "POST", headers: { "Content-Type": "application/json", "Idempotency-Key": name }, body: "{}",
    });
    await answer.text();
    told.push(`${answer.status}${answer.headers.has("Location") ? ` ${answer.headers.get("Location")}` : ""}`);
  }
  console.log(`${name}: ${told.join(", ")}; done ${done}`);
}
process.exit();
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "json: 201 /tokens/7, 201, 201; done 1
sendStatus: 204, 204, 204; done 1
end: 204, 409, 409; done 1
stream: 200, 409, 409; done 1"
