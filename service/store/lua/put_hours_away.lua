--[[ Move past hours from records into lists of seven hours, and of seven days: eight lists of hours, sixteen of days; a
new list replaces an old one. A list begins with its number: the hours, or days, since the epoch divided by seven.
KEYS[1...] for each token: metadata (hash), usage (hash)
ARGV[1]  seconds that usage is kept
returns  nothing
cost     O(tokens)
]]
local kept = ARGV[1]
local function add(key, name, lists, period, count)
  local seventh = math.floor(period / 7)
  local field, place = name .. seventh % lists, period % 7 + 2
  local told = redis.call('HGET', key, field) or ''
  local list = {string.match(told, '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),(%d+)$')}
  if tonumber(list[1]) ~= seventh then list = {seventh, 0, 0, 0, 0, 0, 0, 0} end
  list[place] = list[place] + count
  redis.call('HSET', key, field, table.concat(list, ','))
end
for place = 1, #KEYS, 2 do
  local metadata, usage = unpack(KEYS, place, place + 1)
  local told = redis.call('HGET', metadata, '@last_hour') or ''
  local newest, number, over = string.match(told, '^(%d+,%d+,%d+,(%d+)),(.+)$')
  if over then redis.call('HSET', metadata, '@last_hour', newest) end
  -- Not if somebody else keeps another type in its place.
  if over and type(redis.pcall('HLEN', usage)) == 'number' then
    local hours = {}
    for hour in string.gmatch(over, '%d+,%d+,%d+,%d+') do table.insert(hours, 1, hour) end
    for _, each in ipairs(hours) do -- the oldest first, because a later hour's list may replace its list
      local hour, allowed, denied = string.match(each, '(%d+),(%d+),(%d+)')
      for sign, count in pairs({a = allowed, d = denied}) do
        if count ~= '0' then
          add(usage, sign, 8, hour, count)
          add(usage, string.upper(sign), 16, math.floor(hour / 24), count)
        end
      end
    end
    redis.call('HSET', usage, 't', number - 1)
    redis.call('EXPIRE', usage, kept)
  end
end
