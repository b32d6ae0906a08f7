#!/usr/bin/env bash
# @nestjs/throttler 6.7.1 with two limits, which have to be given names for that, "short" and "long" in its README: a
# refusal tells its wait in a field of its own, Retry-After-short, which no client looks for, and has no Retry-After; a
# limit named "default" alone sends that. ky 2.1.0 waits once and is served in the second case. In the first it comes
# back by its own clock, is refused three times and gives up within the eight seconds that the server had named.
set -eu
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund @nestjs/throttler@6.7.1 @nestjs/common@11.2.10 @nestjs/core@11.2.10 \
  @nestjs/platform-express@11.2.10 reflect-metadata@0.2.2 rxjs@7.8.2 ky@2.1.0 > /dev/null 2>&1
cat > ask.mjs <<'JS'
import "reflect-metadata";
import { Controller, Get, Module } from "@nestjs/common";
import { APP_GUARD, NestFactory } from "@nestjs/core";
import { ThrottlerGuard, ThrottlerModule } from "@nestjs/throttler";
import ky from "ky";

class Tokens {
  list() {
    return "tokens";
  }
}
Get()(Tokens.prototype, "list", Object.getOwnPropertyDescriptor(Tokens.prototype, "list"));
Controller("tokens")(Tokens);

for (const name of ["default", "short"]) {
  class Application {}
  const limits = [{ name, ttl: 8000, limit: 1 }, { name: "long", ttl: 60_000, limit: 100 }];
  Module({
    imports: [ThrottlerModule.forRoot(limits)],
    controllers: [Tokens],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
  })(Application);
  const server = await NestFactory.create(Application, { logger: false });
  await server.listen(0, "127.0.0.1");
  const url = `http://127.0.0.1:${server.getHttpServer().address().port}/tokens`;
  await fetch(url);
  const note = ({ response: { status, headers } }) => {
    console.log(name, status, ...[...headers.keys()].filter((field) => field.startsWith("retry-after")));
  };
  await ky(url, { hooks: { afterResponse: [note] } }).catch((error) => console.log(name, error.name));
  await server.close();
}
JS
seen=$(node ask.mjs)
echo "$seen"
test "$seen" = "default 429 retry-after
default 200
short 429 retry-after-short
short 429 retry-after-short
short 429 retry-after-short
short HTTPError"
