--[[ Remove the record of a token that ended long ago.
KEYS[1]  metadata (hash)              KEYS[2]  usage by day (hash)
KEYS[3]  ended or switched off (zset) KEYS[4]  expired tokens (zset)
KEYS[5]  purges (zset)                KEYS[6]  names (zset)
KEYS[7]  tokens of the creator (zset) KEYS[8]  foreign tokens (zset)
ARGV[1]  id
ARGV[2]  now, epoch seconds
ARGV[3]  member in names
ARGV[4]  member in names of a revoked token
returns  1 removed | 0 not due, or done already
cost     O(log n)
]]
local metadata, usage, off, dead, purges, names, owned, foreign = unpack(KEYS)
local id, now, member, freed = unpack(ARGV)
local due = redis.call('ZSCORE', purges, id)
if not due or tonumber(due) > tonumber(now) then return 0 end
redis.call('DEL', metadata, usage)
redis.call('ZREM', purges, id)
redis.call('ZREM', off, id) redis.call('ZREM', dead, id)
redis.call('ZREM', names, member, freed)
redis.call('ZREM', owned, id) redis.call('ZREM', foreign, id)
return 1
