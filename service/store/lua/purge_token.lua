--[[ Remove the record of a token that ended long ago.
KEYS[1]  metadata (hash)              KEYS[2]  usage by day (hash)
KEYS[3]  ended or switched off (zset) KEYS[4]  expired tokens (zset)
KEYS[5]  purges (zset)                KEYS[6]  names (zset)
KEYS[7]  tokens of the creator (zset) KEYS[8]  foreign tokens (zset)
KEYS[9]  last uses (zset)             KEYS[10] blocks of folded names (hash)
ARGV[1]  id
ARGV[2]  now, epoch seconds
ARGV[3]  member in names
ARGV[4]  member in names of a revoked token
ARGV[5]  its block of folded names    ARGV[6]  its row there
returns  1 removed | 0 not due, or done already
cost     O(log n)
]]
local metadata, usage, off, dead, purges, names, owned, foreign, used, blocks = unpack(KEYS)
local id, now, member, freed, block, row = unpack(ARGV)
local due = redis.call('ZSCORE', purges, id)
if not due or tonumber(due) > tonumber(now) then return 0 end
redis.call('DEL', metadata, usage)
redis.call('ZREM', purges, id)
redis.call('ZREM', off, id) redis.call('ZREM', dead, id)
redis.call('ZREM', names, member, freed)
redis.call('ZREM', owned, id) redis.call('ZREM', foreign, id) redis.call('ZREM', used, id)
local rows = redis.call('HGET', blocks, block) or ''
local at = string.find(rows, row, 1, true)
if at then
  rows = string.sub(rows, 1, at - 1) .. string.sub(rows, at + #row)
  if rows == '' then redis.call('HDEL', blocks, block) else redis.call('HSET', blocks, block, rows) end
end
return 1
