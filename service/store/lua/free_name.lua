--[[ Free the name of a revoked token, which is found by it all the same. Takes away first: works on a full server.
KEYS[1]  names (zset)
ARGV[1]  member for names, with `!n` behind it while its token is asked
ARGV[2]  what it is once the name is free
returns  1 freed | 0 another token took it first
cost     O(log n)
]]
local names = KEYS[1]
local member, freed = unpack(ARGV)
local held = redis.call('ZREMRANGEBYLEX', names, '[' .. member, '(' .. member .. '"')
-- Also where nothing was held: whoever wants the name may have taken it since the revocation.
redis.call('ZADD', names, 0, freed)
return held
