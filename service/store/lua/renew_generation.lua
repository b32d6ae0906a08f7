--[[ Count that a user is logged out everywhere. Removes before it writes: works on a full server.
KEYS[1]  generation: how often that happened (string)
KEYS[2]  a key that is never written (string)
returns  the new generation
cost     O(1)
]]
local generation, nothing = unpack(KEYS)
local count = (redis.call('GET', generation) or 0) + 1
-- Removes nothing. A DEL of the generation would reset it if the right to SET is missing.
redis.call('DEL', nothing)
redis.call('SET', generation, count)
return count
