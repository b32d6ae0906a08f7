#!/usr/bin/env bash
# openapi-python-client 0.29.1: one property {"enum": [true]}, valid in OpenAPI 3.1 whose schemas are JSON Schema
# 2020-12, makes the whole operation vanish from the generated client, with a warning on standard output and exit
# status 0. With "type": "boolean" beside it, or with an enum of strings without a type, the operation is generated.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openapi-python-client==0.29.1
generate() {
  cat > "$folder/$1.json" <<JSON
{"openapi": "3.1.0", "info": {"title": "$1", "version": "1"}, "paths": {"/lights": {"post": {
  "operationId": "switchLights",
  "requestBody": {"content": {"application/json": {"schema": {
    "type": "object", "required": ["all"], "properties": {"all": {$2}}}}}},
  "responses": {"204": {"description": "done"}}}}}}
JSON
  status=0
  PATH="$folder/venv/bin:$PATH" openapi-python-client generate --path "$folder/$1.json" --output-path "$folder/$1" \
    > "$folder/$1.log" 2>&1 || status=$?
  echo "$1: exit status $status, operations $(find "$folder/$1" -name switch_lights.py | wc -l)"
}
seen=$(
  generate string '"enum": ["on"]'
  generate boolean '"enum": [true], "type": "boolean"'
  generate bare '"enum": [true]'
)
echo "$seen"
test "$seen" = "string: exit status 0, operations 1
boolean: exit status 0, operations 1
bare: exit status 0, operations 0"
