--[[ Count a wrong attempt at a password; idempotent.
KEYS[1]  attempts (zset): id -> until when it counts, epoch milliseconds
ARGV[1]  id of the attempt
ARGV[2]  how long it counts, milliseconds
returns  how many attempts count now, including reserved ones
cost     O(log n)
]]
local tries = KEYS[1]
local id, window = unpack(ARGV)
local time = redis.call('TIME')
redis.call('ZADD', tries, time[1] * 1000 + math.floor(time[2] / 1000) + window, id)
redis.call('PEXPIRE', tries, window)
return redis.call('ZCARD', tries)
