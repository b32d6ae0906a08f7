--[[ Put the days, or hours, that are over into lists of seven, by which a page of tokens is read, and drop the oldest.
KEYS[1...] usage by day, or by hour (hash)
ARGV[1]  how many days or hours are kept
returns  nothing
cost     O(k) for k keys; for one whose list begins, or of which another fold was cut off, O(f) more for f fields
]]
local kept = ARGV[1]
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
  local told = redis.call('HGET', key, 't')
  -- Of two processes the one that is behind may come last: what it told of is over already.
  local last, begun = string.match(told or '', '^(%d+)%-(%d+)$')
  local over, newest = math.min(last or 0, begun or 0), math.max(last or 0, begun or 0)
  local begins = over < newest and {fold(key, 'a', over), fold(key, 'd', over)} or {}
  local fields = (told == '-' or begins[1] or begins[2]) and redis.call('HKEYS', key) or {}
  for _, field in ipairs(fields) do newest = math.max(newest, tonumber(string.match(field, '^[ad](%d+)$')) or 0) end
  for _, field in ipairs(fields) do
    local sign, number = string.match(field, '^([adAD])(%d+)$')
    if sign == 'A' or sign == 'D' then
      if number * 7 + 6 <= newest - kept then redis.call('HDEL', key, field) end
    elseif sign and tonumber(number) < newest then fold(key, sign, number) end
  end
  -- Only what is marked: of what is gone meanwhile this would make a key without an end.
  if last or told == '-' then redis.call('HSET', key, 't', newest) end
end
