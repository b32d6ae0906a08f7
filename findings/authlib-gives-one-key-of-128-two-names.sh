#!/usr/bin/env bash
# Of the keys for ES256 one in 128 has a coordinate that begins with a zero byte. RFC 7518, 6.2.1.2 has that byte kept
# in a JWK, whose coordinates are all 32 bytes long. The module authlib.jose, deprecated and shipped in Authlib 1.9.10,
# drops it. PyJWT 2.15.1 then refuses the published key for its length, and with it every token that it signed; joserfc
# 1.8.0, jwcrypto 1.6.1 and jose 6.2.18 take both. And the thumbprint of RFC 7638, which Authlib makes the kid, is
# another than joserfc and jwcrypto compute from the same PEM file. With the other 127 keys all of them agree, so it
# comes with some rotation, and goes with the next.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check authlib==1.9.10 joserfc==1.8.0 jwcrypto==1.6.1 pyjwt==2.15.1 \
  cryptography==50.0.2
npm install --silent --no-audit --no-fund jose@6.2.18
cat > sign.py <<'PYTHON'
import json
import warnings
from pathlib import Path

import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwcrypto.jwt
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

warnings.simplefilter("ignore")
import authlib.jose

def key_where(wanted):
    number = 1
    while True:
        key = ec.derive_private_key(number, ec.SECP256R1())
        point = key.public_key().public_numbers()
        if wanted(point.x >> 248 == 0, point.y >> 248 == 0):
            return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        number += 1

keys = {
    "most": key_where(lambda x, y: not x and not y),
    "x begins with 0": key_where(lambda x, y: x and not y),
    "y begins with 0": key_where(lambda x, y: y and not x),
}
for name, pem in keys.items():
    own = authlib.jose.ECKey.import_key(pem)
    public = own.as_dict()
    token = authlib.jose.jwt.encode({"alg": "ES256"}, {"sub": "billing"}, pem).decode()
    readers = {
        "PyJWT": lambda: jwt.decode(token, jwt.PyJWK.from_dict(public, "ES256"), ["ES256"]),
        "joserfc": lambda: joserfc.jwt.decode(token, joserfc.jwk.ECKey.import_key(public)).claims,
        "jwcrypto": lambda: json.loads(jwcrypto.jwt.JWT(jwt=token, key=jwcrypto.jwk.JWK(**public)).claims),
    }
    thumbprints = {
        "Authlib": own.thumbprint(),
        "joserfc": joserfc.jwk.ECKey.import_key(pem).thumbprint(),
        "jwcrypto": jwcrypto.jwk.JWK.from_pem(pem.encode()).thumbprint(),
    }
    print(name)
    print("    kid is the thumbprint:", public["kid"] == own.thumbprint())
    for reader, thumbprint in thumbprints.items():
        print(f"    {reader} names it {thumbprint}")
    for reader, read in readers.items():
        try:
            print(f"    {reader} reads {json.dumps(read())}")
        except Exception as error:
            print(f"    {reader}: {error}")
    Path(f"{name}.json").write_text(json.dumps({"public": public, "token": token}))
PYTHON
cat > verify.mjs <<'NODE'
import { readFileSync } from "node:fs";
import { importJWK, jwtVerify } from "jose";

for (const name of ["most", "x begins with 0", "y begins with 0"]) {
  const { public: key, token } = JSON.parse(readFileSync(`${name}.json`, "utf8"));
  const { payload } = await jwtVerify(token, await importJWK(key, "ES256"));
  console.log(`${name}: jose reads ${JSON.stringify(payload)}`);
}
NODE
seen=$(venv/bin/python sign.py; node verify.mjs)
echo "$seen"
test "$seen" = 'most
    kid is the thumbprint: True
    Authlib names it xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M
    joserfc names it xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M
    jwcrypto names it xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M
    PyJWT reads {"sub": "billing"}
    joserfc reads {"sub": "billing"}
    jwcrypto reads {"sub": "billing"}
x begins with 0
    kid is the thumbprint: True
    Authlib names it cqdWPhcnF9DHfVHOTKaBvs582HJ6LmX0fEgRXTtiGFU
    joserfc names it 7Yxe6c_3bAa6kiaK1G-BZmi9EeNsUmlcbdnrtLeuK4E
    jwcrypto names it 7Yxe6c_3bAa6kiaK1G-BZmi9EeNsUmlcbdnrtLeuK4E
    PyJWT: Coords should be 32 bytes for curve P-256
    joserfc reads {"sub": "billing"}
    jwcrypto reads {"sub": "billing"}
y begins with 0
    kid is the thumbprint: True
    Authlib names it oynto_iDk7BbC1TpDhAjGoiBUFY63hdrK_AAqhuXqX8
    joserfc names it WZsjbh58q8kl1WsGShqtiycImZtCgGbukDn4RAacMig
    jwcrypto names it WZsjbh58q8kl1WsGShqtiycImZtCgGbukDn4RAacMig
    PyJWT: Coords should be 32 bytes for curve P-256
    joserfc reads {"sub": "billing"}
    jwcrypto reads {"sub": "billing"}
most: jose reads {"sub":"billing"}
x begins with 0: jose reads {"sub":"billing"}
y begins with 0: jose reads {"sub":"billing"}'
