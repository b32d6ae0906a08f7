--[[ Put the days, or hours, that are over into lists of seven, by which a page of tokens is read, and drop the oldest.
KEYS[1...] usage by day, or by hour (hash)
ARGV[1]  the present day or hour since the epoch    ARGV[2]  how many are kept
returns  nothing
cost     O(k * f) for k keys and f fields
]]
local present, kept = unpack(ARGV)
local function fold(key, field, sign, period)
  local list, counts, place = string.upper(sign) .. math.floor(period / 7), {}, period % 7 + 1
  for count in string.gmatch(redis.call('HGET', key, list) or '0,0,0,0,0,0,0', '%d+') do counts[#counts + 1] = count end
  if #counts == 7 then -- else somebody else wrote it
    counts[place] = counts[place] + (tonumber(redis.call('HGET', key, field)) or 0)
    redis.call('HSET', key, list, table.concat(counts, ','))
  end
  redis.call('HDEL', key, field)
end
for _, key in ipairs(KEYS) do
  -- Of two processes the one that is behind may come last.
  local newest = math.max(present, tonumber(redis.call('HGET', key, 't')) or 0)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local sign, number = string.match(field, '^([adAD])(%d+)$')
    number = tonumber(number)
    if sign == 'a' or sign == 'd' then
      if number < newest then fold(key, field, sign, number) end
    elseif sign and number * 7 + 6 <= present - kept then redis.call('HDEL', key, field) end
  end
  redis.call('HSET', key, 't', newest)
end
