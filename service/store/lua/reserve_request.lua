--[[ Remember a request that its client may repeat: the words of the first one stay until they expire.
KEYS[1]  the request (string)
ARGV[1]  the words to remember
ARGV[2]  how long, milliseconds
returns  the words of the first such request
cost     O(1)
]]
local request = KEYS[1]
local words, keep = unpack(ARGV)
redis.call('SET', request, words, 'NX', 'PX', keep)
return redis.call('GET', request)
