--[[ Count tokens by status as the indexes tell it, which reads no record.
KEYS[1]  active tokens (zset)      KEYS[2]  ended or switched off (zset)
KEYS[3]  expired tokens (zset)     KEYS[4]  expiries (zset)
ARGV[1]  now, epoch seconds        ARGV[2...] ids
returns  how many are active, inactive, expired, revoked
cost     O(k) for k tokens
]]
local on, off, dead, expiries = unpack(KEYS)
local now, counts = tonumber(ARGV[1]), {0, 0, 0, 0}
for place = 2, #ARGV do
  local id = ARGV[place]
  local is_on = redis.call('ZSCORE', on, id)
  local created, status = is_on or redis.call('ZSCORE', off, id), is_on and 1 or 2
  if not created then status = redis.call('ZSCORE', dead, id) and 3
  elseif tonumber(created) < 0 then status = 4
  -- Due, but not swept yet; that of an inactive one is negative.
  elseif math.abs(tonumber(redis.call('ZSCORE', expiries, id) or 'inf')) <= now then status = 3 end
  if status then counts[status] = counts[status] + 1 end
end
return counts
