#!/usr/bin/env bash
# A JWK Set with an RSA and an EC key under one kid, which is the example that RFC 7517, 4.5 gives of where two keys may
# have the same: the issuer moves from RS256 to ES256 and calls both "2026". Each key says its kty, alg and use. joserfc
# 1.8.0, jose 6.2.18 and get-jwks 11.0.3 find the right one for a token of either kind. PyJWT 2.15.1, jwks-rsa 4.1.0 under
# jsonwebtoken 9.0.3 and aws-jwt-verify 5.2.1 take the first of that kid and refuse every token of the second, with an
# error that blames the algorithm. On the day of the move half of the services refuse what the others take.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyjwt==2.15.1 cryptography==46.0.3 joserfc==1.8.0
npm install --silent --no-audit --no-fund jose@6.2.18 jsonwebtoken@9.0.3 jwks-rsa@4.1.0 aws-jwt-verify@5.2.1 \
  get-jwks@11.0.3 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { JwtVerifier } from "aws-jwt-verify";
import buildGetJwks from "get-jwks";
import { createRemoteJWKSet, jwtVerify } from "jose";
import jsonwebtoken from "jsonwebtoken";
import jwksRsa from "jwks-rsa";

const [, , address, token] = process.argv;
const { kid, alg } = jsonwebtoken.decode(token, { complete: true }).header;
const checks = {
  jose: () => jwtVerify(token, createRemoteJWKSet(new URL(address))),
  "get-jwks": async () => {
    const { origin, pathname } = new URL(address);
    const key = await buildGetJwks({ jwksPath: pathname }).getPublicKey({ kid, alg, domain: origin });
    jsonwebtoken.verify(token, key);
  },
  "jwks-rsa": async () => {
    const key = await jwksRsa({ jwksUri: address }).getSigningKey(kid);
    jsonwebtoken.verify(token, key.getPublicKey());
  },
  "aws-jwt-verify": async () => {
    const verifier = JwtVerifier.create({ issuer: "https://issuer.example", audience: null, jwksUri: address });
    verifier.cacheJwks(await (await fetch(address)).json());
    await verifier.verify(token);
  },
};
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`  ${name}: taken`);
  } catch (error) {
    console.log(`  ${name}: ${error.message}`);
  }
}
JS
cat > ask.py <<'PYTHON'
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import joserfc.jwt
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import KeySet
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

old, new = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
keys = [
    {**RSAAlgorithm.to_jwk(old.public_key(), as_dict=True), "alg": "RS256", "use": "sig", "kid": "2026"},
    {**ECAlgorithm.to_jwk(new.public_key(), as_dict=True), "alg": "ES256", "use": "sig", "kid": "2026"},
]
for key in keys:
    key.pop("key_ops", None)
text = json.dumps({"keys": keys}).encode()

class Issuer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass

issuer = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
threading.Thread(target=issuer.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{issuer.server_port}/jwks"

def in_joserfc(token):
    joserfc.jwt.decode(token, KeySet.import_key_set(json.loads(text)), algorithms=["RS256", "ES256"])

def in_pyjwt(token):
    jwt.decode(token, jwt.PyJWKClient(address).get_signing_key_from_jwt(token), ["RS256", "ES256"])

for algorithm, key in (("RS256", old), ("ES256", new)):
    print(f"{algorithm}:", flush=True)
    claims = {"iss": "https://issuer.example", "sub": "ada", "exp": int(time.time()) + 3600}
    token = jwt.encode(claims, key, algorithm, headers={"kid": "2026"})
    for name, check in (("joserfc", in_joserfc), ("PyJWT", in_pyjwt)):
        try:
            check(token)
            print(f"  {name}: taken", flush=True)
        except Exception as error:
            print(f"  {name}: {error}", flush=True)
    subprocess.run(["node", "ask.mjs", address, token], check=True)
PYTHON
venv/bin/python -W ignore ask.py > seen
cat seen
test "$(cat seen)" = "RS256:
  joserfc: taken
  PyJWT: taken
  jose: taken
  get-jwks: taken
  jwks-rsa: taken
  aws-jwt-verify: taken
ES256:
  joserfc: taken
  PyJWT: Token algorithm 'ES256' does not match the key's algorithm 'RS256'
  jose: taken
  get-jwks: taken
  jwks-rsa: invalid algorithm
  aws-jwt-verify: JWT signature algorithm not allowed: ES256. Expected: RS256"
