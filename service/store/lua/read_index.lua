--[[ Read the next members of parts of indexes, each after a place in it, in the order of score and member.
KEYS[1...] for each part: ids by a number (zset)
ARGV[1...] for each part: score of the place; member of the place, which may be gone by now; `up` or `down`; how many
         at most; the score before which the part ends
returns  for each part members and scores in turn, ascending in both directions
cost     O(log(n) * log(t) + k) for k members, where t share the score of the place
]]
local at, parts = 1, {}
for place, index in ipairs(KEYS) do
  local score, member, way, most, bound = unpack(ARGV, at, at + 4)
  local low = redis.call('ZCOUNT', index, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', index, score, score)
  -- The rank of the first member after the place, or on the way down that of the place: by ZRANK if it is still there.
  local held = redis.call('ZSCORE', index, member)
  if held and tonumber(held) == tonumber(score) then
    low = redis.call('ZRANK', index, member) + (way == 'up' and 1 or 0)
    high = low
  end
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', index, middle, middle)[1]
    if found < member or (way == 'up' and found == member) then low = middle + 1 else high = middle end
  end
  local first, last = low, math.min(low + most, redis.call('ZCOUNT', index, '-inf', '(' .. bound)) - 1
  if way == 'down' then
    first, last = math.max(low - most, redis.call('ZCOUNT', index, '-inf', bound)), low - 1
  end
  parts[place] = first <= last and redis.call('ZRANGE', index, first, last, 'WITHSCORES') or {}
  at = at + 5
end
return parts
