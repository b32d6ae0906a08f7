#!/usr/bin/env bash
# RFC 9421 with a query parameter among what is signed: http-message-signatures 1.0.6 for Node leaves ! ' ( ) and ~ in
# the value as they are, http-message-signatures 3.0.0 for Python encodes them, as 2.2.8 asks. What Node signs for
# owner=smith Python verifies, and what it signs for owner=o'brien has a wrong signature. A * and a space are the same
# to both. The signed calls of one customer in a thousand are refused, and no key and no clock is to blame.
set -eu
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check http-message-signatures==3.0.0 requests==2.34.2
npm install --silent --no-audit --no-fund http-message-signatures@1.0.6 > /dev/null 2>&1
cat > sign.mjs <<'JS'
import { createSigner, httpbis } from "http-message-signatures";

const key = createSigner(Buffer.alloc(32, "k"), "hmac-sha256", "orders");
const fields = ["@method", '"@query-param";name="owner"'];
const signed = await httpbis.signMessage({ key, fields }, { method: "GET", url: process.argv[2], headers: {} });
console.log(JSON.stringify(signed.headers));
JS
cat > verify.py <<'PYTHON'
import json
import subprocess

import requests
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)

class Keys(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id):
        return b"k" * 32

    resolve_private_key = resolve_public_key

def verified(request):
    try:
        HTTPMessageVerifier(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys()).verify(request)
    except InvalidSignature as refusal:
        return str(refusal)
    return "verified"

def by_python(request):
    signer = HTTPMessageSigner(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys())
    signer.sign(request, key_id="orders", covered_component_ids=("@method", '"@query-param";name="owner"'))

def by_node(request):
    program = ["node", "sign.mjs", request.url]
    request.headers.update(json.loads(subprocess.run(program, capture_output=True, text=True, check=True).stdout))

for owner in ("smith", "de%20vries", "o'brien", "smith(jr)", "~smith", "smith*"):
    for signer in (by_python, by_node):
        request = requests.Request("GET", f"https://api.example/tokens?owner={owner}").prepare()
        signer(request)
        print(f"{owner}, signed {signer.__name__}: {verified(request)}")
PYTHON
seen=$(venv/bin/python verify.py)
echo "$seen"
test "$seen" = "smith, signed by_python: verified
smith, signed by_node: verified
de%20vries, signed by_python: verified
de%20vries, signed by_node: verified
o'brien, signed by_python: verified
o'brien, signed by_node: Signature did not match digest.
smith(jr), signed by_python: verified
smith(jr), signed by_node: Signature did not match digest.
~smith, signed by_python: verified
~smith, signed by_node: Signature did not match digest.
smith*, signed by_python: verified
smith*, signed by_node: verified"
