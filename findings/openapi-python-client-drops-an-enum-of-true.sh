#!/usr/bin/env bash
# openapi-python-client 0.29.1: one property {"enum": [true]}, valid in OpenAPI 3.1 whose schemas are JSON Schema
# 2020-12, makes the whole operation vanish from the generated client, with a warning on standard output and exit
# status 0. With "type": "boolean" beside it, or with an enum of strings without a type, the operation is generated.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile openapi-python-client==0.29.1
operation() {
  cat <<JSON
"/lights/$1": {"post": {
  "operationId": "switch_$1",
  "requestBody": {"content": {"application/json": {"schema": {
    "type": "object", "required": ["all"], "properties": {"all": {$2}}}}}},
  "responses": {"204": {"description": "done"}}}}
JSON
}
cat > "$folder/lights.json" <<JSON
{"openapi": "3.1.0", "info": {"title": "lights", "version": "1"}, "paths": {
$(operation string '"enum": ["on"]'),
$(operation boolean '"enum": [true], "type": "boolean"'),
$(operation bare '"enum": [true]')
}}
JSON
status=0
PATH="$folder/venv/bin:$PATH" openapi-python-client generate --path "$folder/lights.json" \
  --output-path "$folder/client" > "$folder/log" 2>&1 || status=$?
seen="exit status $status
$(for one in string boolean bare; do
  echo "$one: operations $(find "$folder/client" -name "switch_$one.py" | wc -l)"
done)"
echo "$seen"
test "$seen" = "exit status 0
string: operations 1
boolean: operations 1
bare: operations 0"
