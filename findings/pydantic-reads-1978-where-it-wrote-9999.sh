#!/usr/bin/env bash
# Pydantic 2.14.4 with ser_json_temporal="seconds", which writes moments as JWT's exp has them (RFC 7519, 2). A record
# that is good until the end of 9999, as "never" is often put, is written as 253402300799 and read back by the same
# model as January 1978: a number above 2e10 is milliseconds to its reader, whatever its writer was told. Nothing is
# raised; what never expires has expired. The end of 2600 is the same moment on both sides and that of 2604 is not.
# val_temporal_unit="seconds" beside it mends that. PyJWT 2.15.1 takes the number as exp for what it is, a moment to
# come, and msgspec 0.23.0 reads 9999.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pydantic==2.14.4 pyjwt==2.15.1 msgspec==0.23.0
cat > read.py <<'PYTHON'
from datetime import datetime, timezone

import jwt
import msgspec
from pydantic import BaseModel, ConfigDict

class Claims(BaseModel):
    model_config = ConfigDict(ser_json_temporal="seconds")
    exp: datetime

class Seconds(Claims):
    model_config = ConfigDict(val_temporal_unit="seconds")

for year in (2600, 2604, 9999):
    written = Claims(exp=datetime(year, 12, 31, 23, 59, 59, tzinfo=timezone.utc)).model_dump_json()
    print(f"{year}: {written}")
    print(f"    Claims: {Claims.model_validate_json(written).exp}")
    print(f"    Seconds: {Seconds.model_validate_json(written).exp}")
    print(f"    msgspec: {msgspec.convert(msgspec.json.decode(written)['exp'], datetime, strict=False)}")
    token = jwt.encode(msgspec.json.decode(written), "a key of this finding that is long enough")
    print("    PyJWT:", jwt.decode(token, "a key of this finding that is long enough", ["HS256"])["exp"])
PYTHON
seen=$(venv/bin/python read.py)
echo "$seen"
test "$seen" = '2600: {"exp":19912435199.0}
    Claims: 2600-12-31 23:59:59+00:00
    Seconds: 2600-12-31 23:59:59+00:00
    msgspec: 2600-12-31 23:59:59+00:00
    PyJWT: 19912435199.0
2604: {"exp":20038665599.0}
    Claims: 1970-08-20 22:17:45.599000+00:00
    Seconds: 2604-12-31 23:59:59+00:00
    msgspec: 2604-12-31 23:59:59+00:00
    PyJWT: 20038665599.0
9999: {"exp":253402300799.0}
    Claims: 1978-01-11 21:31:40.799000+00:00
    Seconds: 9999-12-31 23:59:59+00:00
    msgspec: 9999-12-31 23:59:59+00:00
    PyJWT: 253402300799.0'
