--[[ Read what the tokens of a page were used for.
KEYS[1...] usage by day, or by hour (hash)
ARGV[1...] lists of counts
returns  of each: the newest day or hour (with '-' before it is folded), allowed and denied in it, these lists, nil
         where there is none; an empty list where nothing was counted
cost     O(k * f) for k keys and f lists
]]
local found = {}
for place, key in ipairs(KEYS) do
  found[place] = {}
  local newest = redis.pcall('HGET', key, 't')
  if type(newest) == 'string' then
    found[place] = redis.call('HMGET', key, 't', 'a' .. newest, 'd' .. newest, unpack(ARGV, 1))
  end
end
return found
