--[[ Record a one-time token, unless its anonymous issuer, his network or everybody asks too often.
KEYS[1]  one-time token (string)      KEYS[2]  outstanding ones (zset)
KEYS[3]  rate of the address (string) KEYS[4]  rate of its network (string)
KEYS[5]  rate of all (string)
ARGV[1]  sealed record
ARGV[2]  member of the index
ARGV[3]  expires, epoch seconds
ARGV[4]  now, epoch milliseconds
ARGV[5...] issues a minute for each of the rates, 0 for no limit
returns  0 recorded | milliseconds until the next one is admitted
cost     O(log n)
]]
local token, index, address, network, all = unpack(KEYS)
local record, member, expires, now = unpack(ARGV)
local limits, due, wait = {unpack(ARGV, 5)}, {}, 0
for place, rate in ipairs({address, network, all}) do
  if limits[place] ~= '0' then
    local interval = 60000 / limits[place]
    due[place] = math.max(tonumber(redis.call('GET', rate) or '0'), tonumber(now)) + interval
    wait = math.max(wait, due[place] - 60000 - now)
  end
end
if wait > 0.5 then return math.ceil(wait) end
for place, rate in ipairs({address, network, all}) do
  if due[place] then redis.call('SET', rate, string.format('%.3f', due[place]), 'PX', math.ceil(due[place] - now)) end
end
redis.call('SET', token, record, 'PXAT', expires .. '000')
redis.call('ZADD', index, expires, member)
return 0
