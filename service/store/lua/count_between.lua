--[[ Count members of sorted sets between two scores, for the numbers of tokens.
KEYS[1...] sets (zset), each as often as it has ranges to count
ARGV[1...] the least and the greatest score of each range in turn
returns  the count of each range in order
cost     O(k * log(n)) for k ranges of sets of n members
]]
local at, counts = 1, {}
for place, key in ipairs(KEYS) do
  counts[place] = redis.call('ZCOUNT', key, ARGV[at], ARGV[at + 1])
  at = at + 2
end
return counts
