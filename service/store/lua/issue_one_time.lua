--[[ Record a one-time token, unless its anonymous issuer, his network or everybody asks too often.
KEYS[1]  one-time token (string)      KEYS[2]  outstanding ones (zset)
KEYS[3]  rate of the address (string) KEYS[4]  rate of its network (string)
KEYS[5]  rate of all (string)
ARGV[1]  sealed record
ARGV[2]  member of the index
ARGV[3]  expires, epoch seconds
ARGV[4...] issues a minute for each of the rates, 0 for no limit
returns  0 recorded | milliseconds until the next one is admitted
cost     O(log n)
]]
local token, index, address, network, all = unpack(KEYS)
local record, member, expires = unpack(ARGV)
local limits, due, wait, time = {unpack(ARGV, 4)}, {}, 0, redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
for place, rate in ipairs({address, network, all}) do
  if limits[place] ~= '0' then
    local debt = tonumber(redis.call('GET', rate) or '0') or 0
    -- A debt greater than the window was written down by a clock that has been set back since. Not a number is neither.
    if not (debt >= now and debt <= now + 60001) then debt = now end
    due[place] = debt + 60000 / limits[place]
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
