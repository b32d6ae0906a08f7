--[[ Drop a slice of an index: members whose time has passed.
KEYS[1]  index by expiry (zset)
ARGV[1]  how many at most
returns  how many were dropped
cost     O(k log n) for k members
]]
local index = KEYS[1]
local most = ARGV[1]
local passed = redis.call('ZRANGEBYSCORE', index, '-inf', redis.call('TIME')[1], 'LIMIT', 0, most)
if #passed > 0 then redis.call('ZREM', index, unpack(passed)) end
return #passed
