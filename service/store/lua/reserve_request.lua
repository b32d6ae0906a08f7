--[[ Remember a request that its client may repeat: the first one's words stand until they go.
KEYS[1]  the request (string)
ARGV[1]  what is remembered
ARGV[2]  how long, milliseconds
returns  what the first such request left
cost     O(1)
]]
local request = KEYS[1]
local words, keep = unpack(ARGV)
redis.call('SET', request, words, 'NX', 'PX', keep)
return redis.call('GET', request)
