#!/usr/bin/env bash
# One OpenAPI 3.0 operation with an optional header X-Scopes, an array of strings, and three validators of requests.
# openapi-core 0.23.1 for Python takes a request without it, with "read", and with "read,write" as two. The two for Node
# do not. express-openapi-validator 5.6.2 answers 400 to every request, those without the header too, until the document
# says style: simple, which the specification has as the default of a header. openapi-backend 5.21.2 takes a request
# without it, and tells who sends one scope or two that a list must be an array, whatever the document says of style.
# In a query the same list is taken by all three.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check openapi-core==0.23.1
npm install --silent --no-audit --no-fund express@5.3.0 express-openapi-validator@5.6.2 openapi-backend@5.21.2 \
  > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { once } from "node:events";
import express from "express";
import { middleware } from "express-openapi-validator";
import { OpenAPIBackend } from "openapi-backend";

const [, , text, path, fields] = process.argv;
const headers = JSON.parse(fields);
const app = express();
app.use(middleware({ apiSpec: JSON.parse(text) }));
app.get("/tokens", (request, response) => response.send("taken"));
app.use((error, request, response, next) => response.status(error.status).send(error.message));
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`, { headers });
console.log("  express-openapi-validator:", answer.status, await answer.text());
server.close();

const api = new OpenAPIBackend({ definition: JSON.parse(text) });
api.register("list", () => "200 taken");
api.register("validationFail", (context) => `400 ${context.validation.errors[0].message}`);
await api.init();
console.log("  openapi-backend:", await api.handleRequest({ method: "GET", path, headers }));
JS
cat > ask.py <<'PYTHON'
import json
import subprocess

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest

def ask(title, place, name, style, path, headers):
    parameter = {"name": name, "in": place, "schema": {"type": "array", "items": {"type": "string"}}, **style}
    document = {
        "openapi": "3.0.3", "info": {"title": "api", "version": "1"}, "servers": [{"url": "http://localhost"}],
        "paths": {"/tokens": {"get": {
            "operationId": "list", "parameters": [parameter], "responses": {"200": {"description": "the tokens"}}}}}}
    print(f"{title}:", flush=True)
    route, _, query = path.partition("?")
    arguments = dict([query.split("=")]) if query else {}
    request = MockRequest("http://localhost", "get", route, args=arguments, headers=headers)
    read = OpenAPI.from_dict(document).unmarshal_request(request)
    print("  openapi-core:", read.errors or "200 taken", *getattr(read.parameters, place).values(), flush=True)
    subprocess.run(["node", "ask.mjs", json.dumps({**document, "servers": []}), path, json.dumps(headers)], check=True)

for said in ({}, {"style": "simple"}):
    for headers in ({}, {"X-Scopes": "read"}, {"X-Scopes": "read,write"}):
        title = f"{'style: simple' if said else 'no style'}, {headers.get('X-Scopes', 'no header')}"
        ask(title, "header", "X-Scopes", said, "/tokens", headers)
ask("in a query", "query", "scopes", {"explode": False}, "/tokens?scopes=read,write", {})
PYTHON
venv/bin/python -W ignore ask.py > seen
cat seen
test "$(cat seen)" = "no style, no header:
  openapi-core: 200 taken
  express-openapi-validator: 400 Parameter 'style' has incorrect value 'undefined' for [X-Scopes]
  openapi-backend: 200 taken
no style, read:
  openapi-core: 200 taken ['read']
  express-openapi-validator: 400 Parameter 'style' has incorrect value 'undefined' for [X-Scopes]
  openapi-backend: 400 must be array
no style, read,write:
  openapi-core: 200 taken ['read', 'write']
  express-openapi-validator: 400 Parameter 'style' has incorrect value 'undefined' for [X-Scopes]
  openapi-backend: 400 must be array
style: simple, no header:
  openapi-core: 200 taken
  express-openapi-validator: 200 taken
  openapi-backend: 200 taken
style: simple, read:
  openapi-core: 200 taken ['read']
  express-openapi-validator: 200 taken
  openapi-backend: 400 must be array
style: simple, read,write:
  openapi-core: 200 taken ['read', 'write']
  express-openapi-validator: 200 taken
  openapi-backend: 400 must be array
in a query:
  openapi-core: 200 taken ['read', 'write']
  express-openapi-validator: 200 taken
  openapi-backend: 200 taken"
