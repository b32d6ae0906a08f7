--[[ Count a try at a password that was wrong; harmless when repeated.
KEYS[1]  tries (zset): id -> when it stops to count, epoch milliseconds
ARGV[1]  its id
ARGV[2]  how long it counts, milliseconds
returns  how many count now, reserved ones among them
cost     O(log n)
]]
local tries = KEYS[1]
local id, window = unpack(ARGV)
local time = redis.call('TIME')
redis.call('ZADD', tries, time[1] * 1000 + math.floor(time[2] / 1000) + window, id)
redis.call('PEXPIRE', tries, window)
return redis.call('ZCARD', tries)
