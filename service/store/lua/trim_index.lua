--[[ Drop a slice of an index: members that have expired.
KEYS[1]  index by expiry (zset)
KEYS[2]  index of such indexes (zset), if there is one
ARGV[1]  how many at most
ARGV[2]  member of the index of indexes, which is removed when the index is empty
returns  how many were dropped
cost     O(k log n) for k members
]]
local index, indexes = unpack(KEYS)
local most, own = unpack(ARGV)
local passed = redis.call('ZRANGEBYSCORE', index, '-inf', redis.call('TIME')[1], 'LIMIT', 0, most)
if #passed > 0 then redis.call('ZREM', index, unpack(passed)) end
if indexes and redis.call('EXISTS', index) == 0 then redis.call('ZREM', indexes, own) end
return #passed
