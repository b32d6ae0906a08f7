--[[ Reserve a try at a password before it is looked at, or refuse it; harmless when repeated.
KEYS[1]  tries (zset): id -> when it stops to count, epoch milliseconds
ARGV[1]  id of this one
ARGV[2]  tries allowed
ARGV[3]  how long it is reserved, milliseconds
returns  0 reserved | milliseconds until the next of them stops to count
cost     O(log n + k) for k that stopped to count
]]
local tries = KEYS[1]
local id, allowed, hold = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', tries, '-inf', now)
if redis.call('ZSCORE', tries, id) then return 0 end
if redis.call('ZCARD', tries) >= tonumber(allowed) then
  return redis.call('ZRANGE', tries, 0, 0, 'WITHSCORES')[2] - now
end
redis.call('ZADD', tries, now + hold, id)
if redis.call('PTTL', tries) < tonumber(hold) then redis.call('PEXPIRE', tries, hold) end
return 0
