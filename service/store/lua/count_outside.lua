--[[ Count the tokens of a shard that some indexes do not hold: those never used, or without an end.
KEYS[1...] the sets that hold all of them, then the indexes, of which a token is in one at most (zset)
ARGV[1]  how many hold all of them
returns  how many
cost     O(1)
]]
local whole = tonumber(ARGV[1])
local count = 0
for place, index in ipairs(KEYS) do
  count = count + (place > whole and -1 or 1) * redis.call('ZCARD', index)
end
return count
