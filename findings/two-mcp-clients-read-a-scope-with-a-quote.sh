#!/usr/bin/env bash
# The two clients of the Model Context Protocol, mcp 2.3.0 for Python and @modelcontextprotocol/client 2.4.0, read
# WWW-Authenticate by looking for the text scope= wherever it stands. Where error_description says "the token has
# scope=read", what both take for the scope to ask for is read" with a quotation mark in it, which RFC 6749, 3.3 has in
# no scope, and not the read write that the parameter scope names. Of two challenges, Basic and Bearer, that for
# TypeScript finds resource_metadata only if Bearer comes first, the one for Python in any order, as RFC 9110, 11.6.1
# has it.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mcp==2.3.0
npm install --silent --no-audit --no-fund @modelcontextprotocol/client@2.4.0 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { extractWWWAuthenticateParams } from "@modelcontextprotocol/client";

const headers = JSON.parse(process.argv[2]).map((field) => ["WWW-Authenticate", field]);
const { scope, resourceMetadataUrl } = extractWWWAuthenticateParams(new Response(null, { status: 401, headers }));
console.log("  TypeScript: scope", scope, "of", resourceMetadataUrl?.href);
JS
cat > ask.py <<'PYTHON'
import json
import subprocess

import httpx2
from mcp.client.auth.utils import extract_resource_metadata_from_www_auth, extract_scope_from_www_auth

BASIC = 'Basic realm="api"'
BEARER = 'Bearer resource_metadata="https://api.example/meta", error="insufficient_scope", %sscope="read write"'
answers = {
    "as it is": [BEARER % ""],
    "with a description": [BEARER % 'error_description="the token has scope=read", '],
    "Bearer, Basic": [BEARER % "", BASIC],
    "Basic, Bearer": [BASIC, BEARER % ""],
}
for name, fields in answers.items():
    print(name, flush=True)
    answer = httpx2.Response(401, headers=[("WWW-Authenticate", field) for field in fields])
    scope, metadata = extract_scope_from_www_auth(answer), extract_resource_metadata_from_www_auth(answer)
    print("  Python: scope", scope, "of", metadata, flush=True)
    subprocess.run(["node", "ask.mjs", json.dumps(fields)], check=True)
PYTHON
venv/bin/python ask.py > seen
cat seen
test "$(cat seen)" = 'as it is
  Python: scope read write of https://api.example/meta
  TypeScript: scope read write of https://api.example/meta
with a description
  Python: scope read" of https://api.example/meta
  TypeScript: scope read" of https://api.example/meta
Bearer, Basic
  Python: scope read write of https://api.example/meta
  TypeScript: scope read write of https://api.example/meta
Basic, Bearer
  Python: scope read write of https://api.example/meta
  TypeScript: scope undefined of undefined'
