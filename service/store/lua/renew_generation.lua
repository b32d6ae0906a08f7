--[[ Count that a user is logged out everywhere. Takes away first, so it works on a full server.
KEYS[1]  how often (string)
returns  how often by now
cost     O(1)
]]
local generation = KEYS[1]
local count = (redis.call('GET', generation) or 0) + 1
redis.call('DEL', generation)
redis.call('SET', generation, count)
return count
