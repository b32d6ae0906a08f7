#!/usr/bin/env bash
# A token whose iat and nbf are time.time(), as PyJWT 2.15.1 writes what it is given: a moment within a second, which
# RFC 7519, 2 allows. By 4.1.5 it is good from then on. jose 6.2.18 for Node and joserfc 1.8.0 for Python cut the
# fraction off their own clock and not off the claim, and refuse the token until the next full second has begun, on the
# machine that issued it, too. What is fetched and used at once is refused; what somebody takes a look at afterwards is
# good; the errors speak of nbf and of the future, and the clocks that are then compared are right. PyJWT, jwcrypto
# 1.6.1 and fast-jwt 6.3.6 for Node take it; with whole seconds all five do.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyjwt==2.15.1 joserfc==1.8.0 jwcrypto==1.6.1
npm install --silent --no-audit --no-fund jose@6.2.18 fast-jwt@6.3.6 > /dev/null 2>&1
cat > verify.mjs <<'JS'
import { createInterface } from "node:readline";
import { createVerifier } from "fast-jwt";
import { jwtVerify } from "jose";

const key = process.argv[2];
const verifiers = {
  jose: async (token) => jwtVerify(token, new TextEncoder().encode(key)),
  "fast-jwt": async (token) => createVerifier({ key })(token),
};
for await (const token of createInterface({ input: process.stdin })) {
  const said = {};
  for (const [name, verify] of Object.entries(verifiers)) {
    said[name] = await verify(token).then(() => "good", (error) => error.message);
  }
  console.log(JSON.stringify(said));
}
JS
cat > ask.py <<'PYTHON'
import base64
import json
import math
import subprocess
import time

import jwcrypto.jwk
import jwcrypto.jwt
import joserfc.jwk
import joserfc.jwt
import jwt

key = "a key of at least thirty-two bytes"
encoded = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
node = subprocess.Popen(["node", "verify.mjs", key], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

def by_joserfc(token):
    claims = joserfc.jwt.decode(token, joserfc.jwk.OctKey.import_key(key)).claims
    joserfc.jwt.JWTClaimsRegistry().validate(claims)

verifiers = {
    "PyJWT": lambda token: jwt.decode(token, key, algorithms=["HS256"]),
    "jwcrypto": lambda token: jwcrypto.jwt.JWT(jwt=token, key=jwcrypto.jwk.JWK(kty="oct", k=encoded)),
    "joserfc": by_joserfc,
}

def ask(token):
    said = {}
    for name, verify in verifiers.items():
        try:
            verify(token)
            said[name] = "good"
        except Exception as error:
            said[name] = str(error)
    node.stdin.write(f"{token}\n")
    node.stdin.flush()
    return said | json.loads(node.stdout.readline())

def issue(moment):
    return jwt.encode({"sub": "ada", "iat": moment, "nbf": moment, "exp": moment + 3600}, key)

def at_once_and_later(kind):
    """What is said in the second in which the token was issued, and in the next one."""
    for _ in range(60):
        time.sleep(1.01 - time.time() % 1)
        moment = kind(time.time())
        token = issue(moment)
        said = ask(token)
        if math.floor(time.time()) == math.floor(moment):
            time.sleep(1.01 - time.time() % 1)
            return said, ask(token)
    raise TimeoutError

ask(issue(time.time() - 5))
whole = at_once_and_later(math.floor)
fraction = at_once_and_later(float)
for name in fraction[0]:
    print(f"{name}: whole {whole[0][name]}, fraction {fraction[0][name]}, a second later {fraction[1][name]}")
node.stdin.close()
node.wait()
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = 'PyJWT: whole good, fraction good, a second later good
jwcrypto: whole good, fraction good, a second later good
joserfc: whole good, fraction invalid_claim: The token was issued in the future, a second later good
jose: whole good, fraction "nbf" claim timestamp check failed, a second later good
fast-jwt: whole good, fraction good, a second later good'
