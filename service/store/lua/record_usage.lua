--[[ Add what a second brought to a token's usage, if the token still has a record.
KEYS[1]  metadata (hash)              KEYS[2]  usage by day (hash)
KEYS[3]  usage by hour (hash)
ARGV[1]  last used, epoch seconds, 0 if it was only refused
ARGV[2]  day, days since the epoch
ARGV[3]  hour, hours since the epoch
ARGV[4]  allowed
ARGV[5]  denied
ARGV[6]  last address, may be empty
ARGV[7]  last user agent, may be empty
ARGV[8]  digest of the secret that was used
ARGV[9]  days kept
ARGV[10] hours kept
returns  1 added | 0 the token is gone
cost     O(1); at the first use of a day or hour O(k) for k fields, at most twice what is kept
]]
local metadata, days, hours = unpack(KEYS)
local used_at, day, hour, allowed, denied, address, agent, digest, days_kept, hours_kept = unpack(ARGV)
local function add(key, period, kept, seconds)
  if redis.call('EXISTS', key) == 1 and redis.call('HEXISTS', key, 'a' .. period) + redis.call('HEXISTS', key, 'd' .. period) == 0 then
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if tonumber(string.sub(field, 2)) <= period - kept then redis.call('HDEL', key, field) end
    end
  end
  if allowed ~= '0' then redis.call('HINCRBY', key, 'a' .. period, allowed) end
  if denied ~= '0' then redis.call('HINCRBY', key, 'd' .. period, denied) end
  redis.call('EXPIRE', key, kept * seconds)
end
if redis.call('EXISTS', metadata) == 0 then return 0 end
if used_at ~= '0' then
  redis.call('HSET', metadata, 'last_used_at', used_at)
  if address ~= '' then redis.call('HSET', metadata, 'last_address', address) end
  if agent ~= '' then redis.call('HSET', metadata, 'last_agent', agent) end
  if redis.call('HGET', metadata, 'predecessor') == digest then redis.call('HSET', metadata, 'predecessor_used_at', used_at) end
end
add(days, day, days_kept, 86400)
add(hours, hour, hours_kept, 3600)
return 1
