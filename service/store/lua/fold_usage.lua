--[[ Put the days, or hours, that are over into lists of seven, by which a page of tokens is read, and drop the oldest.
KEYS[1...] usage by day, or by hour (hash)
ARGV[1]  the present day or hour since the epoch    ARGV[2]  how many are kept
returns  nothing
cost     O(k) for k keys; for one whose list begins O(f) more for f fields
]]
local present, kept = tonumber(ARGV[1]), tonumber(ARGV[2])
local function fold(key, sign, period)
  local field, list, place = sign .. period, string.upper(sign) .. math.floor(period / 7), period % 7 + 1
  local count, told = unpack(redis.call('HMGET', key, field, list))
  if not count then return false end
  local counts = {}
  for one in string.gmatch(told or '0,0,0,0,0,0,0', '%d+') do counts[#counts + 1] = one end
  if #counts == 7 then -- else somebody else wrote it
    counts[place] = counts[place] + (tonumber(count) or 0)
    redis.call('HSET', key, list, table.concat(counts, ','))
  end
  redis.call('HDEL', key, field)
  return not told
end
for _, key in ipairs(KEYS) do
  -- Of two processes the one that is behind may come last: what it told of is over already.
  local last = tonumber(redis.call('HGET', key, 't')) or present
  local over, newest = math.min(present, last), math.max(present, last)
  local begins = over < newest and {fold(key, 'a', over), fold(key, 'd', over)} or {}
  for _, field in ipairs((begins[1] or begins[2]) and redis.call('HKEYS', key) or {}) do
    local sign, number = string.match(field, '^([adAD])(%d+)$')
    if sign == 'A' or sign == 'D' then
      if number * 7 + 6 <= present - kept then redis.call('HDEL', key, field) end
    -- A process that ended before it came to this left it.
    elseif sign and tonumber(number) < newest then fold(key, sign, number) end
  end
  redis.call('HSET', key, 't', newest)
end
