--[[ Count that a user is logged out everywhere. Removes before it writes: works on a full server.
KEYS[1]  generation: how often that happened (string)
returns  the new generation
cost     O(1)
]]
local generation = KEYS[1]
local count = (redis.call('GET', generation) or 0) + 1
redis.call('DEL', generation)
redis.call('SET', generation, count)
return count
