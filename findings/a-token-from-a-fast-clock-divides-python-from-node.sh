#!/usr/bin/env bash
# One JWT whose `iat` is half a minute ahead, as an issuer with a fast clock signs it: PyJWT 2.15.1 and joserfc 1.8.0
# refuse it, jose 6.2.18, jsonwebtoken 9.0.3 and fast-jwt 6.3.6 take it; RFC 7519 asks for neither. Behind one gateway
# the Python services answer a fresh login with 401 and the same token with 200 later, the Node services never do.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pyjwt==2.15.1 joserfc==1.8.0
npm install --silent --no-audit --no-fund jose@6.2.18 jsonwebtoken@9.0.3 fast-jwt@6.3.6 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import { createVerifier } from "fast-jwt";
import { jwtVerify } from "jose";
import jsonwebtoken from "jsonwebtoken";

const [, , key, token] = process.argv;
const checks = {
  jose: () => jwtVerify(token, new TextEncoder().encode(key)),
  jsonwebtoken: () => jsonwebtoken.verify(token, key),
  "fast-jwt": () => createVerifier({ key })(token),
};
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(name, "takes it");
  } catch (error) {
    console.log(name, "refuses it:", error.message);
  }
}
JS
cat > ask.py <<'PYTHON'
import subprocess
import time

import joserfc.jwt
import jwt
from joserfc.jwk import OctKey

key = "a key of this finding, long enough"
now = int(time.time())

def in_joserfc(token):
    joserfc.jwt.JWTClaimsRegistry().validate(joserfc.jwt.decode(token, OctKey.import_key(key)).claims)

def ask(token):
    for name, check in (("PyJWT", lambda: jwt.decode(token, key, ["HS256"])), ("joserfc", lambda: in_joserfc(token))):
        try:
            check()
            print(name, "takes it")
        except Exception as error:
            print(name, "refuses it:", error)

token = jwt.encode({"sub": "ada", "iat": now + 30, "exp": now + 600}, key, "HS256")
ask(token)
print(subprocess.run(["node", "ask.mjs", key, token], capture_output=True, text=True, check=True).stdout, end="")
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "PyJWT refuses it: The token is not yet valid (iat)
joserfc refuses it: invalid_claim: The token was issued in the future
jose takes it
jsonwebtoken takes it
fast-jwt takes it"
