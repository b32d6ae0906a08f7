--[[ Add what a second brought to a token's usage, if the token still has a record.
KEYS[1]  metadata (hash)              KEYS[2]  usage by day (hash)
ARGV[1]  last used, epoch seconds, 0 if it was only refused
ARGV[2]  day, YYYYMMDD
ARGV[3]  allowed
ARGV[4]  denied
ARGV[5]  last address, may be empty
ARGV[6]  last user agent, may be empty
ARGV[7]  how long usage is kept, seconds
ARGV[8]  digest of the secret that was used
returns  1 added | 0 the token is gone
cost     O(1)
]]
local metadata, days = unpack(KEYS)
local used_at, day, allowed, denied, address, agent, keep, digest = unpack(ARGV)
if redis.call('EXISTS', metadata) == 0 then return 0 end
if used_at ~= '0' then
  redis.call('HSET', metadata, 'last_used_at', used_at)
  if address ~= '' then redis.call('HSET', metadata, 'last_address', address) end
  if agent ~= '' then redis.call('HSET', metadata, 'last_agent', agent) end
  if redis.call('HGET', metadata, 'predecessor') == digest then redis.call('HSET', metadata, 'predecessor_used_at', used_at) end
end
if allowed ~= '0' then redis.call('HINCRBY', days, 'a' .. day, allowed) end
if denied ~= '0' then redis.call('HINCRBY', days, 'd' .. day, denied) end
redis.call('EXPIRE', days, keep)
return 1
