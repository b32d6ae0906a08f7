#!/usr/bin/env bash
# Ten points an hour, seven of them used, and a request that costs five: refused by all. What happens to the three that
# are left? The fixed window of limits 5.8.0, which Flask-Limiter and slowapi use unless told otherwise, and
# rate-limiter-flexible 11.4.0 book the five of the refused request, and everything after it is refused for the rest of
# the hour, be it for one point. limits' moving window and sliding counter and throttled-py's token bucket 3.5.0 book
# nothing and grant the three. One batch that asks for too much shuts out the single calls that would have fitted.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check limits==5.8.0 throttled-py==3.5.0
npm install --silent --no-audit --no-fund rate-limiter-flexible@11.4.0 > /dev/null 2>&1
cat > ask.py <<'PYTHON'
from limits import parse, strategies
from limits.storage import MemoryStorage
from throttled import RateLimiterType, Throttled, rate_limiter

def tell(name, take):
    print(f"{name}:", *("granted" if take(cost) else "refused" for cost in (7, 5, 1, 2)))

for strategy in ("FixedWindow", "MovingWindow", "SlidingWindowCounter"):
    limiter = getattr(strategies, f"{strategy}RateLimiter")(MemoryStorage())
    tell(f"limits, {strategy}", lambda cost: limiter.hit(parse("10/hour"), "customer", cost=cost))
bucket = Throttled(key="customer", using=RateLimiterType.TOKEN_BUCKET.value, quota=rate_limiter.per_hour(10, burst=10))
tell("throttled-py, token bucket", lambda cost: not bucket.limit(cost=cost).limited)
PYTHON
cat > ask.mjs <<'JS'
import { RateLimiterMemory } from "rate-limiter-flexible";

const limiter = new RateLimiterMemory({ points: 10, duration: 3600 });
const outcomes = [];
for (const cost of [7, 5, 1, 2]) {
  outcomes.push(await limiter.consume("customer", cost).then(() => "granted", () => "refused"));
}
console.log("rate-limiter-flexible:", ...outcomes);
JS
seen=$(venv/bin/python ask.py && node ask.mjs)
echo "$seen"
test "$seen" = "limits, FixedWindow: granted refused refused refused
limits, MovingWindow: granted refused granted granted
limits, SlidingWindowCounter: granted refused granted granted
throttled-py, token bucket: granted refused granted granted
rate-limiter-flexible: granted refused refused refused"
