--[[ Replace the holder of a name by another one, or by none.
KEYS[1]  names (zset)
ARGV[1]  member for names
ARGV[2]  the member in its place, empty for none
returns  1 replaced | 0 the holder no longer holds the name
cost     O(log n)
]]
local names = KEYS[1]
local member, other = unpack(ARGV)
local is_held = redis.call('ZREM', names, member)
if is_held == 1 and other ~= '' then redis.call('ZADD', names, 0, other) end
return is_held
