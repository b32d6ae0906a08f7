#!/usr/bin/env bash
# prefixed-api-key 1.1.1: a key is prefix_short_long, and the short token is what its owner is looked up by. With the
# prefix acme_live, as keys are named that tell live from test, generateAPIKey() makes and returns one short token, and
# getTokenComponents() of the key it just made reads another: "live", the same of every key. checkAPIKey() takes the key
# all the same, for the long token is counted from the end. Whoever finds the row by the short token finds none for any
# key; with the prefix acme all of it agrees.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund prefixed-api-key@1.1.1 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { checkAPIKey, generateAPIKey, getTokenComponents } from "prefixed-api-key";

for (const keyPrefix of ["acme", "acme_live"]) {
  const rows = new Map();
  const made = [];
  for (let number = 0; number < 100; number++) {
    const { token, shortToken, longTokenHash } = await generateAPIKey({ keyPrefix });
    rows.set(shortToken, longTokenHash);
    made.push({ token, longTokenHash });
  }
  const read = made.map(({ token }) => getTokenComponents(token).shortToken);
  const found = read.filter((shortToken) => rows.has(shortToken)).length;
  const taken = made.filter(({ token, longTokenHash }) => checkAPIKey(token, longTokenHash)).length;
  console.log(`${keyPrefix}: ${new Set(read).size} short tokens of 100 keys, ${found} rows found, ${taken} keys taken`);
}
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "acme: 100 short tokens of 100 keys, 100 rows found, 100 keys taken
acme_live: 1 short tokens of 100 keys, 0 rows found, 100 keys taken"
