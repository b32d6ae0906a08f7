--[[ Put another holder of a name in the place of one, or none.
KEYS[1]  names (zset)
ARGV[1]  member for names
ARGV[2]  the one in its place, empty for none
returns  1 replaced | 0 that one holds the name no more
cost     O(log n)
]]
local names = KEYS[1]
local member, other = unpack(ARGV)
local is_held = redis.call('ZREM', names, member)
if is_held == 1 and other ~= '' then redis.call('ZADD', names, 0, other) end
return is_held
