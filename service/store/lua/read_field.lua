--[[ Read one field of many records, to sort a list by it.
KEYS[1...] metadata (hash)
ARGV[1]  the field
returns  its values in the order of the keys, nil if there is none
cost     O(k) for k keys, about a millisecond for a thousand
]]
local field = ARGV[1]
local values = {}
for place, metadata in ipairs(KEYS) do
  local value = redis.pcall('HGET', metadata, field)
  values[place] = type(value) == 'string' and value
end
return values
