#!/usr/bin/env bash
# undici 7.30.2 with its retry interceptor: when a connection breaks in the middle of an answer, it asks for the rest by
# Range, and has If-Match with the ETag of the first part see to it that both are of one version. A weak tag is not fit
# for that, so it is left out, and the rest is asked for all the same. Express 5.3.0 makes weak tags, and answers Range.
# While the newest 2000 tokens are read and the connection breaks, one more token is created: the caller gets 200 and
# 2000 records, well-formed JSON, with one token twice and one not at all, though the tags of the two answers differ.
# RFC 9110, 15.3.7.3 has parts joined where they share a strong validator. With a strong tag the answer is 412 and
# raised, without the interceptor the broken connection is. It takes two lists of equal length, as pages are.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund undici@7.30.2 express@5.3.0 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import express from "express";
import { Agent, interceptors, request } from "undici";

let newest;
const write = () => {
  const tokens = Array.from({ length: 2000 }, (_, place) => ({ id: newest - place, team: "blue", scope: "tokens" }));
  writeFileSync("lists/tokens.json", JSON.stringify(tokens));
  utimesSync("lists/tokens.json", newest, newest);
};
let whole;
let tags;
const app = express();
app.set("env", "test");
app.use((asked, answer, next) => {
  answer.on("finish", () => tags.add(answer.get("ETag")));
  if (whole) return next();
  whole = true;
  const send = answer.write.bind(answer);
  // The connection breaks behind the first piece, and a token is created before the next request.
  answer.write = (piece) =>
    send(piece, () => {
      tags.add(answer.get("ETag"));
      newest += 1;
      write();
      asked.socket.destroySoon();
    });
  next();
});
mkdirSync("lists");
const strong = (answer) => answer.set("ETag", `"newest-${newest}"`);
app.use("/weak", express.static("lists"));
app.use("/strong", express.static("lists", { setHeaders: strong }));
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const plain = new Agent();
const retrying = new Agent().compose(interceptors.retry());
for (const [name, path, dispatcher] of [
  ["a weak tag", "weak", retrying],
  ["a strong tag", "strong", retrying],
  ["a weak tag and no interceptor", "weak", plain],
]) {
  newest = 12000;
  whole = false;
  tags = new Set();
  write();
  let said;
  try {
    const address = `http://127.0.0.1:${server.address().port}/${path}/tokens.json`;
    const { statusCode, body } = await request(address, { dispatcher });
    const tokens = (await body.json()).map((token) => token.id);
    said = `${statusCode}, ${tokens.length} records of ${new Set(tokens).size} tokens, ${tags.size} tags`;
  } catch (error) {
    said = `raised, ${error.statusCode ?? error.code}`;
  }
  console.log(`${name}: ${said}`);
}
process.exit();
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "a weak tag: 200, 2000 records of 1999 tokens, 2 tags
a strong tag: raised, 412
a weak tag and no interceptor: raised, UND_ERR_SOCKET"
