--[[ Read some fields of many hashes: the usage of a page of tokens.
KEYS[1...] usage (hash)
ARGV[1...] the fields
returns  a list of values for each key, nil where there is none; no list for what is no hash
cost     O(k * f) for k keys and f fields
]]
local values = {}
for place, key in ipairs(KEYS) do
  local found = redis.pcall('HMGET', key, unpack(ARGV, 1))
  values[place] = found.err and {} or found
end
return values
