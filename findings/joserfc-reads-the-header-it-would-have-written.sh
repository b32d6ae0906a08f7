#!/usr/bin/env bash
# One JWE in both of its forms, from jwcrypto 1.6.1 with a header as json.dumps() writes it, a blank behind each colon.
# joserfc 1.8.0 reads the five parts with dots between them, since its list was told in 2026 that it did not, and
# refuses the same five as members of a JSON object. RFC 7516, 5.2 has the header authenticated by the octets that came;
# in the JSON form joserfc writes the header anew from what it has understood and takes the octets of that. What it
# writes itself has no blanks and comes back, and so does what jwcrypto writes of a dict. So a partner's messages are
# read until the partner lays out its header in another way, and the key is what everybody looks at. jwcrypto and jose
# 6.2.18 read all of them.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check joserfc==1.8.0 jwcrypto==1.6.1
npm install --silent --no-audit --no-fund jose@6.2.18 > /dev/null 2>&1
cat > read.mjs <<'NODE'
import { readFileSync } from "node:fs";
import { compactDecrypt, flattenedDecrypt } from "jose";

const read = async (decrypt, token) => {
  try {
    return new TextDecoder().decode((await decrypt(token, Buffer.alloc(32, "k"))).plaintext);
  } catch (error) {
    return error.code;
  }
};
const answers = [];
for (const { compact, json } of JSON.parse(readFileSync(0, "utf8"))) {
  answers.push([await read(compactDecrypt, compact), await read(flattenedDecrypt, json)]);
}
console.log(JSON.stringify(answers));
NODE
cat > send.py <<'PYTHON'
import base64
import json
import subprocess

import joserfc.errors
import jwcrypto.jwe
import jwcrypto.jwk
from joserfc import jwe
from joserfc.jwk import OctKey

secret = b"k" * 32
algorithms = ["A256KW", "A256GCM"]
header = {"alg": "A256KW", "enc": "A256GCM"}

def by_jwcrypto(protected):
    key = jwcrypto.jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(secret).decode().rstrip("="))
    token = jwcrypto.jwe.JWE(b"secret", protected, recipient=key)
    return token.serialize(compact=True)

def by_joserfc(protected):
    return jwe.encrypt_compact(protected, b"secret", OctKey.import_key(secret), algorithms)

def parts(compact):
    return dict(zip(("protected", "encrypted_key", "iv", "ciphertext", "tag"), compact.split("."), strict=True))

def read_by_joserfc(decrypt, token):
    try:
        return decrypt(token, OctKey.import_key(secret), algorithms).plaintext.decode()
    except joserfc.errors.DecodeError as refusal:
        return refusal.error

def read_by_jwcrypto(token):
    key = jwcrypto.jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(secret).decode().rstrip("="))
    message = jwcrypto.jwe.JWE()
    message.deserialize(token, key)
    return message.payload.decode()

sent = {
    "jwcrypto, json.dumps(header)": by_jwcrypto(json.dumps(header)),
    "jwcrypto, a dict": by_jwcrypto(header),
    "joserfc": by_joserfc(header),
}
messages = [{"compact": compact, "json": parts(compact)} for compact in sent.values()]
run = subprocess.run(["node", "read.mjs"], input=json.dumps(messages), capture_output=True, text=True, check=True)
for name, message, jose in zip(sent, messages, json.loads(run.stdout), strict=True):
    print(name)
    compact, flattened = message["compact"], message["json"]
    readers = {
        "joserfc": [read_by_joserfc(jwe.decrypt_compact, compact), read_by_joserfc(jwe.decrypt_json, flattened)],
        "jwcrypto": [read_by_jwcrypto(compact), read_by_jwcrypto(json.dumps(flattened))],
        "jose": jose,
    }
    for reader, (of_compact, of_json) in readers.items():
        print(f"    {reader}: compact {of_compact}, JSON {of_json}")
PYTHON
seen=$(PYTHONWARNINGS=ignore venv/bin/python send.py)
echo "$seen"
test "$seen" = "jwcrypto, json.dumps(header)
    joserfc: compact secret, JSON decode_error
    jwcrypto: compact secret, JSON secret
    jose: compact secret, JSON secret
jwcrypto, a dict
    joserfc: compact secret, JSON secret
    jwcrypto: compact secret, JSON secret
    jose: compact secret, JSON secret
joserfc
    joserfc: compact secret, JSON secret
    jwcrypto: compact secret, JSON secret
    jose: compact secret, JSON secret"
