--[[ Free the name of a revoked token, which can still be found by it. Removes first: works on a full server.
KEYS[1]  names (zset)
ARGV[1]  member for names, with `!n` behind it while its record is asked
ARGV[2]  the member once the name is free
returns  1 freed | 0 another token took it first
cost     O(log n)
]]
local names = KEYS[1]
local member, freed = unpack(ARGV)
local held = redis.call('ZREMRANGEBYLEX', names, '[' .. member, '(' .. member .. '"')
-- Even if nothing was held: another token may have taken the name since the revocation.
redis.call('ZADD', names, 0, freed)
return held
