#!/usr/bin/env bash
# One record, {"customer": "0042"} with a lifetime, a team and scopes of null, and the JSON Schema that Pydantic 2.14.4
# writes of its model; msgspec 0.23.0 writes the same of its own. A member that may be null is there "anyOf" its type
# and null, in this order. By JSON Schema 2020-12, Core 10.2.1.2 the record is valid as it stands, and so it is read by
# Pydantic, openapi-backend 5.21.2 and express-openapi-validator 5.6.2. Fastify 5.12.8 validates with Ajv, as the other
# two for Node do, and has it convert what does not fit: under anyOf Ajv converts for the first type before it looks at
# the second. The lifetime is 0, the team "", the scopes are [""] and the customer is 42. A record that leaves the three
# out becomes the same, for "default": null is filled in and converted, too. With "type": ["integer", "null"], which
# says what that anyOf says, null stays null. Fastify's documentation warns of anyOf with null in the first place, and
# of 0 that becomes null. An open issue of its list has null become "" and anyOf break a value at times; that two
# libraries write just such a schema it does not have. Here null is last: a token without an end ends at once, and has
# one scope, without a name.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pydantic==2.14.4 msgspec==0.23.0
npm install --silent --no-audit --no-fund fastify@5.12.8 express@5.3.0 express-openapi-validator@5.6.2 \
  openapi-backend@5.21.2 > /dev/null 2>&1
cat > read.mjs <<'JS'
import { once } from "node:events";
import { readFileSync } from "node:fs";
import express from "express";
import { middleware } from "express-openapi-validator";
import fastify from "fastify";
import { OpenAPIBackend } from "openapi-backend";

const { schema, records } = JSON.parse(readFileSync(0, "utf8"));
const content = { "application/json": { schema } };
const responses = { 200: { description: "the record as it is read" } };
const definition = { openapi: "3.1.0", info: { title: "tokens", version: "1" },
  paths: { "/": { post: { operationId: "create", requestBody: { content }, responses } } } };
const types = structuredClone(schema);
for (const property of Object.values(types.properties)) {
  const { anyOf } = property;
  delete property.anyOf;
  Object.assign(property, ...anyOf, { type: anyOf.map(({ type }) => type) });
}

const behind = express().use(express.json(), middleware({ apiSpec: definition }));
behind.post("/", (request, response) => response.json(request.body));
const server = behind.listen(0, "127.0.0.1");
await once(server, "listening");
const backend = new OpenAPIBackend({ definition, handlers: { create: ({ request }) => request.requestBody } });
await backend.init();
const headers = { "content-type": "application/json" };
const inFastify = (body) => {
  const application = fastify();
  application.post("/", { schema: { body } }, async (request) => request.body);
  return async (payload) => (await application.inject({ method: "POST", url: "/", headers, payload })).json();
};
const readers = {
  "openapi-backend": (body) => backend.handleRequest({ method: "POST", path: "/", headers, body }),
  "express-openapi-validator": async (body) =>
    (await fetch(`http://127.0.0.1:${server.address().port}`, { method: "POST", headers, body })).json(),
  Fastify: inFastify(schema),
  "Fastify, of type": inFastify(types),
};
for (const record of records) {
  console.log(record);
  for (const [name, read] of Object.entries(readers)) console.log(`    ${name}: ${JSON.stringify(await read(record))}`);
}
process.exit();
JS
cat > write.py <<'PYTHON'
import json
import subprocess

import msgspec
from pydantic import BaseModel

class Token(BaseModel):
    customer: int | str
    lifetime: int | None = None
    team: str | None = None
    scopes: list[str] | None = None

class Same(msgspec.Struct):
    customer: int | str
    lifetime: int | None = None
    team: str | None = None
    scopes: list[str] | None = None

def members(schema):
    types = {name: [one["type"] for one in member["anyOf"]] for name, member in schema["properties"].items()}
    return ", ".join(f"{name} {' or '.join(of)}" for name, of in types.items())

schema = Token.model_json_schema()
print("schema:", members(schema))
same = msgspec.json.schema(Same)["$defs"]["Same"]
print("msgspec:", "the same" if members(same) == members(schema) else members(same))
token = Token(customer="0042")
records = [token.model_dump_json(), token.model_dump_json(exclude_unset=True)]
print("Pydantic reads what it wrote:", [Token.model_validate_json(record) == token for record in records])
asked = json.dumps({"schema": schema, "records": records})
print(subprocess.run(["node", "read.mjs"], input=asked, capture_output=True, text=True, check=True).stdout, end="")
PYTHON
seen=$(venv/bin/python write.py)
echo "$seen"
test "$seen" = 'schema: customer integer or string, lifetime integer or null, team string or null, scopes array or null
msgspec: the same
Pydantic reads what it wrote: [True, True]
{"customer":"0042","lifetime":null,"team":null,"scopes":null}
    openapi-backend: {"customer":"0042","lifetime":null,"team":null,"scopes":null}
    express-openapi-validator: {"customer":"0042","lifetime":null,"team":null,"scopes":null}
    Fastify: {"customer":42,"lifetime":0,"team":"","scopes":[""]}
    Fastify, of type: {"customer":"0042","lifetime":null,"team":null,"scopes":null}
{"customer":"0042"}
    openapi-backend: {"customer":"0042"}
    express-openapi-validator: {"customer":"0042","lifetime":null,"team":null,"scopes":null}
    Fastify: {"customer":42,"lifetime":0,"team":"","scopes":[""]}
    Fastify, of type: {"customer":"0042","lifetime":null,"team":null,"scopes":null}'
