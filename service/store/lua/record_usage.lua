--[[ Add what a second brought to a token's usage, if the token still has a record.
KEYS[1]  metadata (hash)              KEYS[2]  usage by day (hash)
KEYS[3]  usage by hour (hash)         KEYS[4]  last uses (zset)
ARGV[1]  last used, epoch seconds, 0 if it was only refused
ARGV[2]  day, days since the epoch
ARGV[3]  hour, hours since the epoch
ARGV[4]  allowed
ARGV[5]  denied
ARGV[6]  last address, may be empty
ARGV[7]  last user agent, may be empty
ARGV[8]  digest of the secret that was used
ARGV[9]  days kept                    ARGV[10] hours kept; ARGV[11] id
returns  1 added | 0 the token is gone
cost     O(1); at the first use of a day or hour O(k) for k fields, at most twice what is kept
]]
local metadata, days, hours, last_uses = unpack(KEYS)
local used_at, day, hour, allowed, denied, address, agent, digest, days_kept, hours_kept, id = unpack(ARGV)
local function add(key, sign, period, count, kept, seconds)
  -- Nothing can be added to what is no count of ours, and the other uses of this second must not be lost with it.
  if count == '0' or redis.pcall('HINCRBY', key, sign .. period, count) ~= tonumber(count) then return end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if (tonumber(string.sub(field, 2)) or 0) <= period - kept then redis.call('HDEL', key, field) end
  end
  redis.call('EXPIRE', key, kept * seconds)
end
local present, predecessor = unpack(redis.call('HMGET', metadata, '@digest', '@predecessor'))
if not present then return 0 end
if used_at ~= '0' then
  local said = {'@last_used_at', used_at}
  if address ~= '' then said[#said + 1] = '@last_address'; said[#said + 1] = address end
  if agent ~= '' then said[#said + 1] = '@last_agent'; said[#said + 1] = agent end
  if predecessor == digest then said[#said + 1] = '@predecessor_used_at'; said[#said + 1] = used_at end
  redis.call('HSET', metadata, unpack(said))
  redis.call('ZADD', last_uses, used_at, id)
end
for sign, count in pairs({a = allowed, d = denied}) do
  add(days, sign, day, count, days_kept, 86400)
  add(hours, sign, hour, count, hours_kept, 3600)
end
return 1
