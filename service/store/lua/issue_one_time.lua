--[[ Record a one-time token, unless its anonymous issuer asks too often.
KEYS[1]  one-time token (string)      KEYS[2]  outstanding ones (zset)
KEYS[3]  the issuer's rate (string), used with a limit only
ARGV[1]  sealed record
ARGV[2]  member of the index
ARGV[3]  expires, epoch seconds
ARGV[4]  now, epoch milliseconds
ARGV[5]  issues a minute, 0 for no limit
returns  0 recorded | milliseconds until the next one is admitted
cost     O(log n)
]]
local token, index, rate = unpack(KEYS)
local record, member, expires, now, limit = unpack(ARGV)
if limit ~= '0' then
  local interval, window = 60000 / limit, 60000
  local due = math.max(tonumber(redis.call('GET', rate) or '0'), tonumber(now))
  local wait = due + interval - window - now
  if wait > 0.5 then return math.ceil(wait) end
  redis.call('SET', rate, string.format('%.3f', due + interval), 'PX', math.ceil(due + interval - now))
end
redis.call('SET', token, record, 'PXAT', expires .. '000')
redis.call('ZADD', index, expires, member)
return 0
