--[[ Read some fields of many hashes: the usage of a page of tokens.
KEYS[1...] usage (hash)
ARGV[1...] the fields
returns  a list of values for each key, nil where there is none; an empty one for no hash
cost     O(k * f) for k keys and f fields
]]
local values = {}
for place, key in ipairs(KEYS) do
  -- Most tokens of most pages were never used: to find nothing field by field takes longer than to ask for the key.
  local found = redis.call('EXISTS', key) == 1 and redis.pcall('HMGET', key, unpack(ARGV, 1)) or {}
  values[place] = found.err and {} or found
end
return values
