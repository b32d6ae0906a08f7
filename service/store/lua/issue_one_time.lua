--[[ Record one-time tokens of one issuer: as many as the limits of its address, its network and of all admit now.
KEYS[1]  outstanding tokens (zset)      KEYS[2]  rate of the address (string)
KEYS[3]  rate of its network (string)   KEYS[4]  rate of all (string)
KEYS[5...] tokens (string)
ARGV[1]  issues a minute from the address, ARGV[2] from its network, ARGV[3] from everywhere; 0 for no limit
ARGV[4]  when they expire, epoch milliseconds
ARGV[5...] the sealed record of each token; then for each its expiry, epoch seconds, and its member of the index
returns  how many are recorded, counted from the first; for none minus the milliseconds until the next is admitted
cost     O(n log m) for n tokens and m outstanding ones
]]
local index, address, network, all = unpack(KEYS, 1, 4)
local of_address, of_network, of_all, expires = unpack(ARGV, 1, 4)
local limits, given = {of_address, of_network, of_all}, {unpack(ARGV, 5)}
local asked, debts, wait, time = #KEYS - 4, {}, 0, redis.call('TIME')
local now, admitted = time[1] * 1000 + time[2] / 1000, asked
for place, rate in ipairs({address, network, all}) do
  if limits[place] ~= '0' then
    local debt, interval = tonumber(redis.call('GET', rate) or '0') or 0, 60000 / limits[place]
    -- A debt beyond the window was written by a clock that was set back since. NaN fails both comparisons, too.
    if not (debt >= now and debt <= now + 60001) then debt = now end
    debts[place] = debt
    admitted = math.min(admitted, math.floor((now + 60000.5 - debt) / interval))
    wait = math.max(wait, debt + interval - 60000 - now)
  end
end
if admitted < 1 then return -math.ceil(wait) end
for place, rate in ipairs({address, network, all}) do
  local due = debts[place] and debts[place] + admitted * (60000 / limits[place])
  if due then redis.call('SET', rate, string.format('%.3f', due), 'PX', math.ceil(math.max(due - now, 1))) end
end
for place = 5, #KEYS do
  local token = KEYS[place]
  if place - 4 <= admitted then redis.call('SET', token, given[place - 4], 'PXAT', expires) end
end
redis.call('ZADD', index, unpack(given, asked + 1, asked + 2 * admitted))
return admitted
