--[[ List a token that is wrongly listed as ended as active or inactive again.
KEYS[1]  credential (string)          KEYS[2]  metadata (hash)
KEYS[3]  active tokens (zset)         KEYS[4]  ended or switched off (zset)
KEYS[5]  expired tokens (zset)        KEYS[6]  expiries (zset)
KEYS[7]  purges (zset)                KEYS[8]  last uses (zset)
ARGV[1]  id                           ARGV[2]  retention, seconds
returns  1 moved | 0 it has ended, or its credential is gone
cost     O(log n)
]]
local credential, metadata, on, off, dead, expiries, purges, used = unpack(KEYS)
local id, retention = unpack(ARGV)
local now = tonumber(redis.call('TIME')[1])
local known = redis.call('HMGET', metadata, '@created_micros', '@active', '@expires_at', '@revoked_at')
local active, revoked = known[2] or '1', known[4] or '0'
-- Only digits: others may have written something that is no instant.
local created, expires = string.match(known[1] or '', '^%d+$'), string.match(known[3] or '', '^%d+$') or '0'
if not created or revoked ~= '0' or (expires ~= '0' and tonumber(expires) <= now) then return 0 end
redis.call('ZREM', purges, id)
if active == '1' and redis.call('EXISTS', credential) == 0 then
  if expires ~= '0' then redis.call('ZADD', purges, expires + retention, id) end
  return 0
end
local to, sign = on, ''
if active == '0' then to, sign = off, '-' end
redis.call('ZREM', dead, id)
redis.call('ZADD', to, redis.call('ZSCORE', used, id) and created or string.format('%.0f', created + 5e15), id)
redis.call('ZADD', expiries, sign .. (expires == '0' and created or expires), id)
return 1
