--[[ Which of many records have what is asked for, or may have it: of a value of full length the rest stands elsewhere.
KEYS[1...] metadata (hash)
ARGV[1]  length at which a value goes on in further fields
ARGV[2...] in turn: a field; is, has, below or above; the value to be, the word to have between two spaces, the number
returns  for each key 1 or 0
cost     O(k * f) for k keys and f fields, about a millisecond for a thousand
]]
local full, found = tonumber(ARGV[1]), {}
local function meets(value, how, wanted)
  if how == 'below' then return (tonumber(value) or 0) < tonumber(wanted) end
  if how == 'above' then return (tonumber(value) or 0) > tonumber(wanted) end
  if not value or #value == full then return value ~= false end
  return how == 'is' and value == wanted or how == 'has' and string.find(' ' .. value .. ' ', wanted, 1, true) ~= nil
end
for place, metadata in ipairs(KEYS) do
  local matches = 1
  for at = 2, #ARGV, 3 do
    local value = redis.pcall('HGET', metadata, ARGV[at])
    if type(value) == 'table' or not meets(value, ARGV[at + 1], ARGV[at + 2]) then
      matches = 0
      break
    end
  end
  found[place] = matches
end
return found
