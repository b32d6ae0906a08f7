--[[ Read some fields of many hashes: the records of a page, or their usage.
KEYS[1...] metadata or usage (hash)
ARGV[1...] the fields
returns  a list of values for each key, nil where there is none
cost     O(k * f) for k keys and f fields
]]
local values = {}
for place, key in ipairs(KEYS) do
  values[place] = redis.call('HMGET', key, unpack(ARGV, 1))
end
return values
