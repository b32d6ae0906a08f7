--[[ Reserve an attempt at a password before it is checked, or refuse it; idempotent.
KEYS[1]  attempts (zset): id -> until when it counts, epoch milliseconds
ARGV[1]  id of the attempt
ARGV[2]  attempts allowed
ARGV[3]  how long it is reserved, milliseconds
returns  0 reserved | milliseconds until the next attempt ceases to count
cost     O(log n + k) for k attempts that do not count any more, at most 100 of them
]]
local tries = KEYS[1]
local id, allowed, hold = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local passed = redis.call('ZRANGEBYSCORE', tries, '-inf', now, 'LIMIT', 0, 100)
if #passed > 0 then redis.call('ZREM', tries, unpack(passed)) end
if tonumber(redis.call('ZSCORE', tries, id) or 0) > now then return 0 end
local counting = '(' .. string.format('%.0f', now)
if redis.call('ZCOUNT', tries, counting, '+inf') >= tonumber(allowed) then
  return redis.call('ZRANGEBYSCORE', tries, counting, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] - now
end
redis.call('ZADD', tries, now + hold, id)
if redis.call('PTTL', tries) < tonumber(hold) then redis.call('PEXPIRE', tries, hold) end
return 0
