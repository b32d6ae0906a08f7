--[[ Derive a token from another one in the same shard: what ends the parent ends the new token, too, or comes first.
KEYS[1]  parent's credential (string)              KEYS[2]  credential (string)
KEYS[3]  reason why it is gone (string)            KEYS[4]  metadata, only for its uses (hash)
KEYS[5]  audit log (stream)
KEYS[6...] derived tokens of its parent, and of each further ancestor (zset)
ARGV[1]  seal of the parent's credential           ARGV[2]  sealed credential
ARGV[3]  reason                       ARGV[4]  expires, epoch seconds
ARGV[5]  uses, if it counts its own, else 0
ARGV[6]  most children of a token at a time; ARGV[7] most derived tokens below any token
ARGV[8]  audit entries to keep        ARGV[9]  audit entry, JSON; ARGV[10] its seal
returns  1 derived | 2 it was derived before, and may have ended since
         0 the parent's credential is gone or has changed | -1 too many
cost     O(log n)
]]
local parent, credential, reason, metadata, events = unpack(KEYS, 1, 5)
local parent_seal, record, why, expires, uses, most, most_below, keep, entry, seal = unpack(ARGV)
if string.sub(redis.call('GET', parent) or '', 1, #parent_seal) ~= parent_seal then return 0 end
if redis.call('EXISTS', reason) == 1 then return 2 end
local now = tonumber(redis.call('TIME')[1])
for place = 6, #KEYS do
  local derived = KEYS[place]
  local children = redis.call('ZCOUNT', derived, '(' .. now, '+inf')
  local others = redis.call('ZCOUNT', derived, '-inf', '(-' .. now)
  if (place == 6 and children >= tonumber(most)) or children + others >= tonumber(most_below) then return -1 end
end
-- First, so that without the audit entry nothing is changed.
redis.call('XADD', events, 'MAXLEN', '~', keep, '*', 'e', entry, 's', seal)
if uses ~= '0' then
  redis.call('HSET', metadata, '@uses_left', uses)
  redis.call('EXPIREAT', metadata, expires)
end
for place = 6, #KEYS do
  local derived = KEYS[place]
  redis.call('ZADD', derived, (place == 6 and '' or '-') .. expires, credential)
  if redis.call('TTL', derived) < expires - now then redis.call('EXPIREAT', derived, expires) end
  local over = redis.call('ZRANGEBYSCORE', derived, -now, now, 'LIMIT', 0, 100)
  if #over > 0 then redis.call('ZREM', derived, unpack(over)) end
end
-- After the sets, so that no secret is valid that its ancestors do not list. Last the reason, which a repeat checks.
redis.call('SET', credential, record, 'PXAT', expires .. '000')
redis.call('SET', reason, why, 'PXAT', expires .. '000')
return 1
